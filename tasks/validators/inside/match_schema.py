"""Compares a JSON text with a JSON Schema: reads {schema, instance}, both texts, from standard input, reports
{found, errors: [[path, message], …]} or {fault} on a pipe. Runs in the sandbox because a pattern that backtracks
or a reference to itself takes any amount of time and memory."""

from __future__ import annotations

import itertools
import json
import os
import sys
from typing import Any

PACKAGES = "/opt/redraft/schema"
REPORT = 9
SHOWN = 5
COUNTED = 100
MESSAGE_CHARS = 240


def main() -> None:
    """Compares and reports."""
    order = json.loads(sys.stdin.buffer.read())
    sys.path.insert(0, PACKAGES)
    try:
        report = _compare(json.loads(order["schema"]), json.loads(order["instance"]))
    except RecursionError:
        report = {"fault": "schema and JSON are nested too deeply, or the schema refers to itself"}
    except Exception as error:  # noqa: BLE001 - whatever it is, the schema cannot be used on this answer
        report = {"fault": _clipped(f"{type(error).__name__}: {error}")}
    os.write(order.get("report", REPORT), json.dumps(report).encode())


def _compare(schema: Any, instance: Any) -> dict[str, Any]:
    from jsonschema.exceptions import best_match
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    made = validator_for(schema, default=Draft202012Validator)
    # The default registry fetches what a reference names; this one has the drafts and nothing else.
    validator = made(schema, registry=Registry(), format_checker=made.FORMAT_CHECKER)
    errors = list(itertools.islice(validator.iter_errors(instance), COUNTED))
    # Of `anyOf` and `oneOf`, the branch that came nearest says more than that none fits.
    told = [best_match([error]) for error in errors[:SHOWN]]
    return {"found": len(errors), "errors": [[_clipped(one.json_path), _clipped(one.message)] for one in told]}


def _clipped(text: str) -> str:
    return text if len(text) <= MESSAGE_CHARS else text[: MESSAGE_CHARS - 40] + " … " + text[-36:]


if __name__ == "__main__":
    main()

"""Compares a JSON document with a JSON Schema: reads {nonce, schema, document} from standard input, reports [nonce,
errors] on a pipe. Runs in the sandbox because a pattern may take any time on a text that a model wrote."""

from __future__ import annotations

import json
import os
import sys

PACKAGES = "/opt/redraft/schema"
REPORT = 9
ERRORS = 5
MESSAGE_CHARS = 300


def main() -> None:
    """Compares and reports."""
    order = json.loads(sys.stdin.buffer.read())
    sys.path.insert(0, PACKAGES)
    from jsonschema.validators import Draft202012Validator, validator_for

    schema = json.loads(order["schema"])
    validator = validator_for(schema, default=Draft202012Validator)(schema)
    found = sorted(validator.iter_errors(json.loads(order["document"])), key=lambda error: list(map(str, error.path)))
    lines = [f"{error.json_path}: {error.message}"[:MESSAGE_CHARS] for error in found[:ERRORS]]
    if len(found) > ERRORS:
        lines.append(f"and {len(found) - ERRORS} more")
    os.write(order.get("report", REPORT), json.dumps([order["nonce"], lines]).encode())


if __name__ == "__main__":
    main()

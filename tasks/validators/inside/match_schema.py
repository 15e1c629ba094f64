"""Compares a JSON text with a JSON Schema. A request is {schema, instance}, both texts; the report is {found, errors:
[[path, message], …]}, where `found` is the number of errors, or {fault}.

It runs in the sandbox because a pattern that backtracks or a recursive reference can take any amount of time and
memory.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Mapping
from typing import Any

PACKAGES = "/opt/redraft/schema"
REPORTED_ERRORS = 5
COUNTED_ERRORS = 100
MESSAGE_CHARS = 240
_EMAILS = ("email", "idn-email")
_LOCAL_PART = re.compile(r'[^\s"(),:;<>@\[\\\].]+(?:\.[^\s"(),:;<>@\[\\\].]+)*|"(?:[^"\\\r\n]|\\.)*"')
_ADDRESS = re.compile(r"\[(?:IPv6:(?P<six>[^\]]+)|(?P<four>[^\]]+))\]")


def main() -> None:
    """Compares and reports."""
    sys.path.insert(0, PACKAGES)
    from . import serve

    serve.run(_report, _warm_up)


def compare(schema: Any, instance: Any) -> dict[str, Any]:
    """The number of errors, up to `COUNTED_ERRORS`, and the first ones."""
    from jsonschema.exceptions import best_match

    errors = list(itertools.islice(validator_of(schema).iter_errors(instance), COUNTED_ERRORS))
    # For `anyOf` and `oneOf`, the branch that almost matched says more than that none matches.
    nearest = [best_match([error]) for error in errors[:REPORTED_ERRORS]]
    return {"found": len(errors), "errors": [[_clipped(error.json_path), _clipped(error.message)] for error in nearest]}


def validator_of(schema: Any, registry: Any = None) -> Any:
    """A validator of the draft that the schema names; it checks formats and fetches nothing."""
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    draft = validator_for(schema, default=Draft202012Validator)
    # The default registry fetches remote references; this one contains the drafts and nothing else.
    return draft(schema, registry=Registry() if registry is None else registry, format_checker=formats_of(draft))


def formats_of(draft: Any) -> Any:
    """The draft's formats, with a stricter check of e-mail addresses: jsonschema itself only looks for an @."""
    from jsonschema import FormatChecker

    checker = FormatChecker()
    checkers = dict(draft.FORMAT_CHECKER.checkers)
    checkers |= {name: (_is_email, ()) for name in _EMAILS if name in checkers}
    checker.checkers = checkers  # of this instance only
    return checker


def _is_email(instance: object) -> bool:
    if not isinstance(instance, str):
        return True
    local, _, domain = instance.rpartition("@")
    if not _LOCAL_PART.fullmatch(local):
        return False
    if address := _ADDRESS.fullmatch(domain):
        return _conforms(address["six"] or address["four"], "ipv6" if address["six"] else "ipv4")
    return _conforms(domain, "hostname" if domain.isascii() else "idn-hostname")


def _conforms(text: str, name: str) -> bool:
    from jsonschema.validators import Draft202012Validator

    return bool(Draft202012Validator.FORMAT_CHECKER.conforms(text, name))


def _report(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return compare(json.loads(request["schema"]), json.loads(request["instance"]))
    except RecursionError:
        return {"fault": "schema and JSON are nested too deeply, or the schema refers to itself"}
    except Exception as error:  # noqa: BLE001 - whatever it is, the schema cannot be used on this answer
        return {"fault": _clipped(f"{type(error).__name__}: {error}")}


def _warm_up() -> None:
    """Loads the modules that a comparison needs."""
    compare({"type": "string", "format": "email", "pattern": "@"}, "a@example.com")


def _clipped(text: str) -> str:
    return text if len(text) <= MESSAGE_CHARS else text[: MESSAGE_CHARS - 40] + " … " + text[-36:]


if __name__ == "__main__":
    main()

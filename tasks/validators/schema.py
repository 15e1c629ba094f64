"""The check `schema: FILE`: validates the candidate's last JSON block by a JSON Schema, draft 2020-12 unless its
`$schema` names another.

The comparison runs in the sandbox: a user's pattern on a model's text, or a recursive reference, can take any time.
Must not know how the sandbox confines.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tasks.errors import InvalidInput
from tasks.ports import Heartbeat, Sandbox
from tasks.types import CheckSpec, Verdict
from tasks.validators.comparison import job_of, report_of
from tasks.validators.ending import ended
from tasks.validators.extraction import json_of, strict_json
from tasks.validators.files import read_text
from tasks.validators.inside.match_schema import formats_of
from tasks.validators.text import clipped, printable
from tasks.validators.verdicts import verdict_of

SCHEMA_BYTES = 256_000
# A model's token limit is far below this; a longer text would only cost time.
JSON_CHARS = 200_000
FEEDBACK_CHARS = 1500
SHOWN_ERRORS = 5
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class SchemaValidator:
    """A JSON value that matches a schema. Score: 1 or 0."""

    kind: ClassVar[str] = "schema"
    cost: ClassVar[int] = 2

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str]]:
        """The schema file's name, and its text. Raises `InvalidInput` where it is no self-contained JSON Schema."""
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput("schema", value, "the path of a JSON Schema, relative to the job file")
        name, text = read_text("schema", value, folder, SCHEMA_BYTES)
        try:
            schema = strict_json(text)
        except ValueError as error:
            raise InvalidInput("schema", value, f"valid JSON: {error}") from None
        fault = _fault(schema)
        if fault is not None:
            raise InvalidInput("schema", value, f"a JSON Schema: {printable(clipped(fault, 400))}")
        return name, {name: text}

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Verdict:
        """Raises only `ServiceFault`s and what `heartbeat` raises."""
        if len(candidate) > JSON_CHARS:
            return verdict_of(check, feedback=f"The answer is over {JSON_CHARS:,} characters long.")
        text = json_of(candidate)
        if text is None:
            return verdict_of(
                check, feedback="There is no JSON in the answer: write it in one block that begins with ```json."
            )
        try:
            strict_json(text)
        except ValueError as error:
            return verdict_of(check, feedback=f"The JSON block is not valid JSON: {error}.")
        request = {"schema": check.text(str(check.value)), "instance": text}
        result = sandbox.run(job_of("match_schema", request, check), heartbeat)
        report = _as_report(report_of(result.report))
        if "found" not in report:
            reason = ended(result, check) or report.get("fault") or "the comparison ended early"
            feedback = clipped(f"The JSON was not checked to the end: {reason}.", FEEDBACK_CHARS)
        else:
            feedback = _error_list(report["found"], report["errors"])
        return verdict_of(check, feedback=feedback, seconds=result.seconds)


def _fault(schema: Any) -> str | None:
    """What is wrong with a schema, or None: it must match its meta-schema, and its references must stay inside it."""
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import UnknownDialect

    fault = None
    try:
        _examine(schema)
    except UnknownDialect as error:
        fault = f"its $schema is {error.uri!r}, which is no draft of JSON Schema"
    except SchemaError as error:
        fault = f"at {error.json_path}: {error.message}"
    except Unresolvable as error:
        fault = f"each $ref must point into it, and {error.ref!r} does not"
    except _UnknownFormat as error:
        fault = str(error)
    except ValueError as error:
        fault = f"a reference or an $id of it is no URI: {error}"
    except RecursionError:
        fault = "it is nested too deeply"
    return fault


def _examine(schema: Any) -> None:
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing.jsonschema import specification_with

    fields = schema if isinstance(schema, dict) else {}
    if "$schema" in fields:
        specification_with(str(fields["$schema"]))
    draft = validator_for(fields, default=Draft202012Validator)
    draft.check_schema(schema)
    _walk(schema, formats_of(draft).checkers)


class _UnknownFormat(Exception):
    """A format that the draft does not define, so that nothing would check it."""


def _walk(schema: Any, formats: Mapping[str, Any]) -> None:
    """Looks up every format, and every reference with only the schema itself and the drafts' own schemas available.

    Raises `Unresolvable` and `_UnknownFormat`.
    """
    from jsonschema_specifications import REGISTRY
    from referencing import Resource
    from referencing.jsonschema import DRAFT202012

    root = Resource.from_contents(schema, default_specification=DRAFT202012)
    pending = [(root, REGISTRY.resolver_with_root(root))]
    while pending:
        resource, resolver = pending.pop()
        if isinstance(resource.contents, Mapping):
            _look_up(resource.contents, resolver)
            name = resource.contents.get("format")
            if isinstance(name, str) and name not in formats:
                raise _UnknownFormat(f"{name!r} is no format of its draft, which has {', '.join(sorted(formats))}")
        pending.extend((inner, resolver.in_subresource(inner)) for inner in resource.subresources())


def _look_up(contents: Mapping[str, Any], resolver: Any) -> None:
    from referencing.exceptions import Unresolvable

    for name in _REFERENCES:
        if isinstance(reference := contents.get(name), str):
            try:
                resolver.lookup(reference)
            except Unresolvable:  # the exception for an anchor has no reference
                raise Unresolvable(ref=reference) from None


def _as_report(document: Any) -> dict[str, Any]:
    """The program's report as a mapping; empty where it was killed before that."""
    return document if isinstance(document, dict) else {}


def _error_list(count: int, errors: list[list[str]]) -> str:
    """Feedback that lists the first errors, each with its path; empty where there is no error."""
    if not count:
        return ""
    lines = [f"- {path}: {message}" for path, message in errors[:SHOWN_ERRORS]]
    remaining = [f"- and {count - len(lines)} more"] if count > len(lines) else []
    return clipped(printable("\n".join(["The JSON does not match the schema:", *lines, *remaining])), FEEDBACK_CHARS)

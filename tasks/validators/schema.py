"""The check `schema: FILE`: the candidate's last JSON block against a JSON Schema.

The comparison runs in the sandbox, for a schema's pattern on a model's text may take any time. Must not know how the
sandbox confines.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from tasks.errors import InvalidInput
from tasks.ports import Pulse, Sandbox, SandboxJob
from tasks.types import CheckSpec, Verdict
from tasks.validators.ending import how_it_ended
from tasks.validators.files import read_text
from tasks.validators.text import clipped, json_of

DOCUMENT_CHARS = 200_000
FEEDBACK_CHARS = 2_000
_REPORT_FD = 9  # as in inside/match_schema.py
_PROGRAM = ".redraft/match_schema.py"
_NO_JSON = "There is no JSON in the answer. Write it in one JSON code block."


class SchemaValidator:
    """One JSON document of the right form. Score: 1 or 0."""

    kind: ClassVar[str] = "schema"
    cost: ClassVar[int] = 5

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str]]:
        """The schema's file name and its text. Raises `InvalidInput` where it is no JSON Schema, or refers to
        another document, which nothing would fetch."""
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput("schema", value, "the path of a JSON Schema, relative to the job file")
        text = read_text("schema", value, folder)
        try:
            schema = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidInput("schema", value, f"valid JSON ({error})") from None
        _check_schema(schema, value)
        return Path(value).name, {Path(value).name: text}

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, pulse: Pulse) -> Verdict:
        """Raises only `ServiceFault`s and what `pulse` raises."""
        found = json_of(candidate) if len(candidate) <= DOCUMENT_CHARS else None
        if found is None:
            return _verdict(check, feedback=_NO_JSON, seconds=0.0)
        nonce = secrets.token_hex(16)
        order = {"nonce": nonce, "schema": check.files[str(check.value)], "document": found}
        job = SandboxJob(
            argv=("python", "-P", "-s", _PROGRAM),
            files={_PROGRAM: resources.files("tasks.validators").joinpath("inside/match_schema.py").read_text("utf-8")},
            stdin=json.dumps(order).encode(),
            timeout_seconds=check.timeout_seconds,
            memory_mb=check.memory_mb,
            report_fd=_REPORT_FD,
        )
        result = sandbox.run(job, pulse)
        errors = _errors(result.report, nonce)
        if errors is None:
            why = how_it_ended(result, check) or "it failed"
            return _verdict(
                check, feedback=f"The JSON could not be compared with the schema: {why}.", seconds=result.seconds
            )
        return _verdict(check, feedback=clipped("\n".join(errors), FEEDBACK_CHARS), seconds=result.seconds)


def _check_schema(schema: Any, value: str) -> None:
    from jsonschema import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for

    if not isinstance(schema, dict | bool):
        raise InvalidInput("schema", value, "a JSON Schema: an object, or true or false")
    far = next((ref for ref in _references(schema) if not ref.startswith("#")), None)
    if far is not None:
        raise InvalidInput("schema", far, "references within the schema, such as #/$defs/name: nothing is fetched")
    if isinstance(schema, bool):
        return
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        raise InvalidInput("schema", value, f"a valid JSON Schema ({error.json_path}: {error.message})") from None


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for name, inner in schema.items():
            if name in ("$ref", "$dynamicRef", "$recursiveRef") and isinstance(inner, str):
                yield inner
            yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


def _errors(report: bytes, nonce: str) -> list[str] | None:
    try:
        document = json.loads(report)
    except ValueError:
        return None
    return [str(line) for line in document[1]] if isinstance(document, list) and document[:1] == [nonce] else None


def _verdict(check: CheckSpec, *, feedback: str, seconds: float) -> Verdict:
    return Verdict(
        check=check.name,
        kind=check.kind,
        passed=not feedback,
        score=float(not feedback),
        held_out=check.held_out,
        feedback=feedback,
        seconds=seconds,
    )

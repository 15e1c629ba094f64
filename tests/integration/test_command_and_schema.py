"""`command` and `schema` in the real sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.settings import load_settings
from tasks.types import CheckSpec
from tasks.validators.command import CommandValidator
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tasks.validators.schema import SchemaValidator

pytestmark = pytest.mark.integration


class Still:
    """A pulse that never stops the step."""

    def beat(self, tokens: int = 0) -> None: ...

    def expect_silence(self, seconds: float) -> None: ...

    def check(self) -> None: ...


@pytest.fixture(scope="module")
def sandbox() -> BubblewrapSandbox:
    return BubblewrapSandbox(default_runtime_folder(load_settings().cache))


def command(folder: Path, program: str, *arguments: str) -> CheckSpec:
    (folder / "verify").write_text(program)
    value, files = CommandValidator().parse(["./verify", *arguments], folder)
    return CheckSpec(name="command:verify", kind="command", value=value, files=files)


@pytest.mark.parametrize(
    "program",
    [
        "#!/bin/sh\ngrep -q 42 \"$1\" || { echo 'no 42 in it'; exit 3; }\n",
        "#!/usr/bin/env python3\nimport sys\nif '42' not in open(sys.argv[1]).read():\n    sys.exit('no 42 in it')\n",
    ],
)
def test_a_program_of_the_users_decides_in_shell_and_in_python(
    program: str, tmp_path: Path, sandbox: BubblewrapSandbox
) -> None:
    check = command(tmp_path, program, "{candidate}")
    good = CommandValidator().validate("it is 42", check, sandbox, Still())
    bad = CommandValidator().validate("it is 41", check, sandbox, Still())
    assert good.passed, good.feedback
    assert not bad.passed
    assert bad.feedback == "no 42 in it"


def test_a_program_sees_nothing_of_the_host_and_ends_at_its_limit(tmp_path: Path, sandbox: BubblewrapSandbox) -> None:
    program = "#!/bin/sh\nls /root /work 2>/dev/null && exit 9\ncat /etc/hostname 2>/dev/null && exit 9\nexit 0\n"
    assert CommandValidator().validate("x", command(tmp_path, program), sandbox, Still()).passed
    (tmp_path / "verify").write_text("#!/bin/sh\nwhile :; do :; done\n")
    value, files = CommandValidator().parse(["./verify"], tmp_path)
    endless = CheckSpec(name="c", kind="command", value=value, files=files, timeout_seconds=1)
    verdict = CommandValidator().validate("x", endless, sandbox, Still())
    assert not verdict.passed
    assert "took more than the 1 s" in verdict.feedback


def schema(folder: Path, document: object) -> CheckSpec:
    (folder / "s.json").write_text(json.dumps(document))
    value, files = SchemaValidator().parse("s.json", folder)
    return CheckSpec(name="schema:s.json", kind="schema", value=value, files=files, timeout_seconds=5)


def test_a_document_is_compared_with_its_schema(tmp_path: Path, sandbox: BubblewrapSandbox) -> None:
    check = schema(
        tmp_path,
        {
            "type": "object",
            "properties": {"year": {"type": "integer"}, "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}}},
            "required": ["year"],
            "$defs": {"tag": {"type": "string", "minLength": 2}},
        },
    )
    good = SchemaValidator().validate('```json\n{"year": 1999, "tags": ["ab"]}\n```', check, sandbox, Still())
    bad = SchemaValidator().validate('```json\n{"year": "1999", "tags": ["a"]}\n```', check, sandbox, Still())
    none = SchemaValidator().validate("there is none", check, sandbox, Still())
    assert good.passed, good.feedback
    assert "$.year" in bad.feedback
    assert "$.tags[0]" in bad.feedback
    assert "no JSON" in none.feedback


def test_a_pattern_without_end_is_a_verdict_and_no_hang(tmp_path: Path, sandbox: BubblewrapSandbox) -> None:
    check = schema(tmp_path, {"type": "string", "pattern": "^(a+)+$"})
    verdict = SchemaValidator().validate(json.dumps("a" * 40 + "!"), check, sandbox, Still())
    assert not verdict.passed
    assert "could not be compared" in verdict.feedback

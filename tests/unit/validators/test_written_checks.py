"""What a user may write for `judge`, `command` and `schema`, and what is refused with one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.errors import InvalidInput
from tasks.ports import SandboxResult
from tasks.types import CheckSpec
from tasks.validators.command import CommandValidator
from tasks.validators.judge import JudgeKind
from tasks.validators.schema import SchemaValidator
from tasks.validators.text import json_of

SCHEMA = {"type": "object", "properties": {"year": {"type": "integer"}}, "required": ["year"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rubric.md").write_text("Be brief.")
    (tmp_path / "verify.sh").write_text("#!/bin/sh\ngrep -q 42 $1\n")
    (tmp_path / "words.txt").write_text("one two\n")
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "far.json").write_text('{"$ref": "https://example.org/schema.json"}')
    (tmp_path / "wrong.json").write_text('{"type": "nothing"}')
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "empty.md").write_text("  \n")
    return tmp_path


def test_a_rubric_is_a_file_or_a_sentence(folder: Path) -> None:
    assert JudgeKind().parse("rubric.md", folder) == ("rubric.md", {"rubric.md": "Be brief."})
    assert JudgeKind().parse("It is brief.", folder) == ("It is brief.", {})


def test_a_command_brings_the_files_it_names(folder: Path) -> None:
    value, files = CommandValidator().parse(["./verify.sh", "{candidate}", "words.txt", "--strict"], folder)
    assert value == ["./verify.sh", "{candidate}", "words.txt", "--strict"]
    assert set(files) == {"verify.sh", "words.txt"}
    assert CommandValidator().parse("./verify.sh {candidate}", folder)[0] == ["./verify.sh", "{candidate}"]


@pytest.mark.parametrize(
    ("validator", "value", "why"),
    [
        (JudgeKind(), "", "a sentence"),
        (JudgeKind(), 7, "a sentence"),
        (JudgeKind(), "missing.md", "exists"),
        (JudgeKind(), "empty.md", "1 to 8,000"),
        (JudgeKind(), "word " * 2000, "1 to 8,000"),
        (CommandValidator(), [], "verify.sh"),
        (CommandValidator(), ["./verify.sh", 7], "verify.sh"),
        (CommandValidator(), "./verify.sh 'open", "No closing quotation"),
        (CommandValidator(), ["./missing.sh"], "exists"),
        (CommandValidator(), ["/root/verify.sh"], "below the job file"),
        (CommandValidator(), ["../verify.sh"], "below the job file"),
        (CommandValidator(), ["{candidate}"], "no program"),
        (SchemaValidator(), "", "JSON Schema"),
        (SchemaValidator(), "missing.json", "exists"),
        (SchemaValidator(), "broken.json", "valid JSON"),
        (SchemaValidator(), "wrong.json", "valid JSON Schema"),
        (SchemaValidator(), "far.json", "nothing is fetched"),
    ],
)
def test_what_is_refused(validator, value: object, why: str, folder: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput, match=why):
        validator.parse(value, folder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('So:\n```json\n{"a": 1}\n```\nand\n```json\n{"a": 2}\n```\n', '{"a": 2}'),
        ('```json\n{"a": 1}\n```\nthen\n```python\nprint(1)\n```', '{"a": 1}'),
        ('{"a": [1, 2]}', '{"a": [1, 2]}'),
        ('The result is {"a": {"b": 1}} as asked.', '{"a": {"b": 1}}'),
        ("no json here [at all", None),
        ("[" * 5000, None),
    ],
)
def test_the_last_json_document_is_read(text: str, found: str | None) -> None:
    got = json_of(text)
    assert (got.strip() if got else got) == found


def ended(**fields):  # type: ignore[no-untyped-def]
    return SandboxResult(**{"exit_code": 0, "stdout": "", "stderr": "", "seconds": 0.1, **fields})


@pytest.mark.parametrize(
    ("result", "passed", "said"),
    [
        (ended(), True, ""),
        (ended(exit_code=1, stdout="3 words are missing\n"), False, "3 words are missing"),
        (ended(exit_code=2, stderr="boom"), False, "boom"),
        (ended(exit_code=1), False, "exit code 1"),
        (ended(killed="wall", stdout="half"), False, "took more than the 10 s"),
        (ended(killed="memory"), False, "512 MB"),
    ],
)
def test_a_programs_end_is_its_verdict(result, passed: bool, said: str, scripted, pulse) -> None:  # type: ignore[no-untyped-def]
    check = CheckSpec(name="c", kind="command", value=["./v.sh", "{candidate}"], files={"v.sh": "#!/bin/sh\n"})
    sandbox = scripted(lambda job: result)
    verdict = CommandValidator().validate("an answer", check, sandbox, pulse)
    assert (verdict.passed, verdict.score) == (passed, float(passed))
    assert said in verdict.feedback
    assert sandbox.jobs[0].argv == ("./v.sh", "candidate.txt")
    assert sandbox.jobs[0].files["candidate.txt"] == b"an answer"


def test_without_a_placeholder_the_candidate_is_the_programs_input(scripted, pulse) -> None:  # type: ignore[no-untyped-def]
    check = CheckSpec(name="c", kind="command", value=["grep", "-q", "42"])
    sandbox = scripted(lambda job: ended())
    CommandValidator().validate("it is 42", check, sandbox, pulse)
    assert sandbox.jobs[0].stdin == b"it is 42"

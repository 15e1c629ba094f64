"""The checks `command` and `schema` in the real sandbox."""

from __future__ import annotations

import json

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.types import CheckSpec
from tasks.validators.command import CommandValidator
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tasks.validators.schema import SchemaValidator

pytestmark = pytest.mark.integration

PROGRAMS = {
    "shell.sh": '#!/bin/sh\ngrep -q right "$1" || { echo "not right: $(cat "$1")"; exit 1; }\n',
    "bash.sh": "#!/usr/bin/env bash\n[[ $(cat) == right ]] || { echo 'not right'; exit 1; }\n",
    "bare.sh": "grep -q right candidate || { echo 'not right'; exit 1; }\n",
    "plain.py": "import sys\nsys.exit(None if sys.stdin.read() == 'right' else 'not right')\n",
    "shebang.py": "#!/usr/bin/env python3\nimport sys\nsys.exit(open(sys.argv[1]).read() != 'right' and 'not right')\n",
    "data.py": "import sys\nsys.exit(sys.stdin.read() != open('data/words.txt').read() and 'not right')\n",
    "windows.sh": '\ufeff#!/bin/sh\r\nif grep -q right "$1"\r\nthen exit 0\r\nfi\r\necho "not right"\r\nexit 1\r\n',
    "loop.sh": "while :; do :; done\n",
    "dies.sh": "kill -9 $$\n",
    "flood.sh": "yes\n",
    "outside.sh": "ls /root /work /home/job 2>&1; exit 1\n",
}


@pytest.fixture(scope="module")
def sandbox():
    return BubblewrapSandbox(default_runtime_folder(load_settings().cache))


@pytest.fixture
def run(sandbox, tmp_path):
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "words.txt").write_text("right")

    def ran(value, candidate, **fields):
        stored, files = CommandValidator().parse(value, tmp_path)
        check = CheckSpec(name="command", kind="command", value=stored, files=files, **fields)
        return CommandValidator().validate(candidate, check, sandbox, SilentHeartbeat())

    return ran


@pytest.mark.parametrize(
    "value",
    [
        ["./shell.sh", "{candidate}"],
        "sh ./shell.sh {candidate}",
        "./bash.sh",
        "bare.sh",
        "./windows.sh {candidate}",
        "./plain.py",
        ["python", "shebang.py", "{candidate}"],
        "./shebang.py {candidate}",
        "./data.py data/words.txt",
        ["grep", "-q", "right", "{candidate}"],
    ],
)
def test_a_program_of_any_make_judges_the_answer(run, value):
    assert run(value, "right").passed
    verdict = run(value, "wrong")
    assert not verdict.passed
    silent = "grep" in value  # it only ends with 1
    assert ("exit code 1." if silent else "not right") in verdict.feedback


@pytest.mark.parametrize(
    ("value", "said"),
    [("./loop.sh", "2 s allowed"), ("./dies.sh", "SIGKILL"), ("./flood.sh", "far too much")],
)
def test_a_program_that_does_not_finish_is_a_clear_verdict(run, value, said):
    verdict = run(value, "right", timeout_seconds=2)
    assert not verdict.passed
    assert said in verdict.feedback


def test_a_program_sees_its_files_and_nothing_of_the_machine(run):
    said = run("./outside.sh", "right").feedback
    assert "candidate" in said
    assert "outside.sh" in said
    assert "/root': No such file" in said
    assert "/work': No such file" in said


@pytest.fixture
def matches(sandbox, tmp_path):
    def matched(schema, value, **fields):
        (tmp_path / "s.json").write_text(json.dumps(schema))
        stored, files = SchemaValidator().parse("s.json", tmp_path)
        check = CheckSpec(name="schema", kind="schema", value=stored, files=files, **fields)
        candidate = f"Here:\n```json\n{json.dumps(value)}\n```"
        return SchemaValidator().validate(candidate, check, sandbox, SilentHeartbeat())

    return matched


PERSON = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z]"},
        "born": {"type": "string", "format": "date"},
        "friends": {"type": "array", "items": {"$ref": "#"}},
        "size": {"anyOf": [{"type": "number"}, {"type": "object", "required": ["cm"]}]},
    },
}


def test_json_that_matches_passes(matches):
    person = {"name": "Ada", "born": "1815-12-10", "friends": [{"name": "Mary"}], "size": {"cm": 165}}
    verdict = matches(PERSON, person)
    assert (verdict.passed, verdict.score, verdict.feedback) == (True, 1.0, "")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "$: 'name' is a required property"),
        ({"name": "ada"}, "$.name: 'ada' does not match '^[A-Z]'"),
        ({"name": "Ada", "born": "1815-13-10"}, "$.born: '1815-13-10' is not a 'date'"),
        ({"name": "Ada", "friends": [{"name": "Mary"}, {"name": 3}]}, "$.friends[1].name: 3 is not of type 'string'"),
        ({"name": "Ada", "age": 3}, "Additional properties are not allowed ('age' was unexpected)"),
        ({"name": "Ada", "size": {"m": 1}}, "$.size: 'cm' is a required property"),
        ([], "$: [] is not of type 'object'"),
    ],
)
def test_an_error_is_told_with_its_path(matches, value, said):
    verdict = matches(PERSON, value)
    assert not verdict.passed
    assert said in verdict.feedback


def test_the_draft_that_a_schema_names_is_used(matches):
    pair = {"items": [{"type": "string"}, {"type": "number"}]}
    assert not matches({"$schema": "http://json-schema.org/draft-07/schema#", **pair}, ["a", "b"]).passed
    tuples = {"prefixItems": pair["items"]}
    assert not matches(tuples, ["a", "b"]).passed
    assert matches({"$schema": "http://json-schema.org/draft-07/schema#", **tuples}, ["a", "b"]).passed


def test_many_errors_are_cut_after_the_first_five(matches):
    feedback = matches({"items": {"type": "string"}}, list(range(40))).feedback
    assert feedback.count("is not of type") == 5
    assert feedback.endswith("- and 35 more")


HOSTILE = "a" * 60 + "b"


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        ({"pattern": "^(a+)+$"}, HOSTILE, "2 s allowed"),
        ({"patternProperties": {"^(a+)+$": True}, "additionalProperties": False}, {HOSTILE: 1}, "2 s allowed"),
        ({"unevaluatedProperties": False, "patternProperties": {"^(a+)+$": True}}, {HOSTILE: 1}, "2 s allowed"),
        ({"uniqueItems": True}, [{"a": n} for n in range(15_000)], "2 s allowed"),
    ],
    ids=["pattern", "additional", "unevaluated", "unique"],
)
def test_a_comparison_without_end_is_ended(matches, schema, value, said):
    verdict = matches(schema, value, timeout_seconds=2)
    assert not verdict.passed
    assert said in verdict.feedback


def test_a_schema_that_refers_to_itself_alone_passes_nothing(matches):
    verdict = matches({"$ref": "#"}, {}, timeout_seconds=20)
    assert not verdict.passed
    assert "refers to itself" in verdict.feedback

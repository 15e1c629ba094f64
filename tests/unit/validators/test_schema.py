"""What the check `schema` accepts at submit, and what of a candidate it compares."""

from __future__ import annotations

import json

import pytest

from tasks.errors import InvalidInput
from tasks.types import CheckSpec, SandboxResult
from tasks.validators.schema import JSON_CHARS, SchemaValidator


def parse(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    return SchemaValidator().parse("s.json", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "object"}',
        "true",
        '{"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {}}, "$ref": "#/definitions/a"}',
        '{"$id": "https://example.com/s", "$defs": {"a": {"$anchor": "here"}}, "$ref": "#here"}',
        '{"properties": {"$ref": {"type": "string"}}}',
        '{"properties": {"format": {"type": "string"}}, "format": "uuid"}',
        '{"const": {"format": "of their own"}}',
        '{"$ref": "https://json-schema.org/draft/2020-12/schema"}',
    ],
)
def test_a_schema_that_stands_alone_is_stored_with_its_text(tmp_path, text):
    assert parse(tmp_path, text) == ("s.json", {"s.json": text})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"type": "strin"}', "$.type"),
        ("[]", "not of type 'object'"),
        ("3", "not of type 'object'"),
        ('{"$schema": "https://example.com/mine"}', "no draft of JSON Schema"),
        ('{"$schema": ["a"]}', "no draft of JSON Schema"),
        ('{"$ref": "https://example.com/other.json"}', "'https://example.com/other.json' does not"),
        ('{"items": {"anyOf": [{"$ref": "other.json"}]}}', "'other.json' does not"),
        ('{"$ref": "file:///etc/passwd"}', "does not"),
        ('{"$ref": "#/$defs/gone"}', "does not"),
        ('{"$ref": "#gone"}', "'#gone' does not"),
        ('{"$id": "http://[x", "$ref": "a"}', "is not a 'uri-reference'"),
        ('{"properties": {"a": {"format": "dat"}}}', "'dat' is no format of its draft"),
        ('{"items": {"anyOf": [{"format": "color"}]}}', "'color' is no format of its draft"),
        ('{"$schema": "http://json-schema.org/draft-07/schema#", "format": "uuid"}', "'uuid' is no format"),
        ('{"pattern": "("}', "not a 'regex'"),
        ('{"patternProperties": {"(": {}}}', "not a 'regex'"),
        ('{"type": "object",}', "line 1 column"),
        ('{"a": 1, "a": 2}', "'a' is given twice"),
        ('{"const": NaN}', "NaN"),
        ("[" * 5_000, "nested too deeply"),
        ('{"not":' * 300 + "true" + "}" * 300, "nested too deeply"),
        ("", "line 1"),
    ],
)
def test_what_is_no_schema_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(InvalidInput) as refused:
        parse(tmp_path, text)
    assert refused.value.field == "schema"
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [None, 3, "", {"type": "object"}, "gone.json", "."])
def test_a_value_that_is_no_file_is_refused(tmp_path, value):
    with pytest.raises(InvalidInput, match=r"^schema: "):
        SchemaValidator().parse(value, tmp_path)


def check(text="{}"):
    return CheckSpec(name="schema:s.json", kind="schema", value="s.json", files={"s.json": text})


def reporting(scripted, report, **fields):
    answer = SandboxResult(exit_code=0, stdout="", stderr="", seconds=0.1, report=json.dumps(report).encode(), **fields)
    return scripted(lambda job: answer)


def test_the_last_json_is_compared(heartbeat, scripted):
    sandbox = reporting(scripted, {"found": 0, "errors": []})
    candidate = 'First:\n```json\n{"a": 1}\n```\nBetter:\n```json\n{"a": 2}\n```\n```text\nbye\n```'
    assert SchemaValidator().validate(candidate, check('{"type": "object"}'), sandbox, heartbeat).passed
    order = json.loads(sandbox.jobs[0].stdin)
    assert order == {"schema": '{"type": "object"}', "instance": '{"a": 2}\n'}


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        ("There is none.", "no JSON"),
        ("```json\n{'a': 1}\n```", "line 1 column 2"),
        ('```json\n{"a": 1, "a": 2}\n```', "given twice"),
        ('```json\n{"a": Infinity}\n```', "Infinity"),
        ("```json\n" + "[" * 5_000 + "\n```", "nested too deeply"),
        ("```json\n" + "9" * 5_000 + "\n```", "digits"),
        ("x" * (JSON_CHARS + 1), "200,000 characters"),
    ],
)
def test_what_is_no_json_fails_without_a_sandbox(heartbeat, no_sandbox, candidate, message):
    verdict = SchemaValidator().validate(candidate, check(), no_sandbox, heartbeat)
    assert not verdict.passed
    assert message in verdict.feedback


def test_the_first_errors_are_told_with_their_paths(heartbeat, scripted):
    errors = [[f"$.a[{n}]", "'x\0' is not of type 'number'"] for n in range(5)]
    sandbox = reporting(scripted, {"found": 12, "errors": errors})
    verdict = SchemaValidator().validate("[1]", check(), sandbox, heartbeat)
    assert (verdict.passed, verdict.score) == (False, 0.0)
    assert verdict.feedback.splitlines()[1] == "- $.a[0]: 'x\ufffd' is not of type 'number'"
    assert verdict.feedback.splitlines()[-1] == "- and 7 more"


@pytest.mark.parametrize(
    ("report", "killed", "message"),
    [
        ({}, "wall", "10 s allowed"),
        ({}, "memory", "512 MB"),
        ({"fault": "nested"}, None, "nested"),
        ([], None, "ended early"),
    ],
)
def test_a_comparison_that_did_not_end_is_no_pass(heartbeat, scripted, report, killed, message):
    verdict = SchemaValidator().validate("[1]", check(), reporting(scripted, report, killed=killed), heartbeat)
    assert (verdict.passed, verdict.seconds) == (False, 0.1)
    assert message in verdict.feedback


def test_errors_that_are_all_told_are_followed_by_no_number(heartbeat, scripted):
    sandbox = reporting(scripted, {"found": 2, "errors": [["$.a", "no"], ["$.b", "no"]]})
    verdict = SchemaValidator().validate("[1]", check(), sandbox, heartbeat)
    assert verdict.feedback == "The JSON does not match the schema:\n- $.a: no\n- $.b: no"
    assert verdict.seconds == 0.1


def test_a_candidate_may_fill_its_limit(heartbeat, scripted):
    text = '"' + "x" * (JSON_CHARS - 2) + '"'
    assert SchemaValidator().validate(text, check(), reporting(scripted, {"found": 0, "errors": []}), heartbeat).passed

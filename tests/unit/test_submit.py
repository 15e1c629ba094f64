"""The job file: what it may say, and the one line that refuses the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tasks.errors import InvalidInput
from tasks.jobfields import read_changes
from tasks.jobflags import Flags, parse_budget_flag, parse_check_flag
from tasks.ports import Heartbeat, Sandbox
from tasks.submit import Rules, read_jobs
from tasks.types import Budget, Changes, CheckSpec, Egress, JobSpec, Lane, Verdict
from tasks.validators import registry


class FileCheck:
    """Takes the name of a file, as the `python` check does."""

    kind: ClassVar[str] = "python"
    cost: ClassVar[int] = 10

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str]]:
        if not isinstance(value, str) or folder is None:
            raise InvalidInput("", value, "the path of a file")
        path = folder / value
        if not path.is_file():
            raise InvalidInput("", value, "a file that can be read")
        return path.name, {path.name: path.read_text()}

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Verdict:
        raise NotImplementedError


class WordCheck(FileCheck):
    """Takes any value, as the `answer` check does."""

    kind: ClassVar[str] = "answer"

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str]]:
        return value, {}


class TwoKinds:
    def find(self, kind: str) -> FileCheck:
        return {"python": FileCheck(), "answer": WordCheck()}[kind]

    def kinds(self) -> tuple[str, ...]:
        return ("answer", "python")


RULES = Rules(validators=TwoKinds(), strategies=("best_of_n", "correct", "single"))
Reader = Callable[..., tuple[JobSpec, ...]]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Writes `content` to a file beside tests/visible.py and reads it as a job file."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "visible.py").write_text("def test(): pass\n")

    def _read(content: str | bytes, name: str = "p.md", flags: Flags | None = None, rules: Rules = RULES) -> Any:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_jobs([str(path)], flags or Flags(), rules, lambda: b"").specs

    return _read


def job(front: str, body: str = "Add two numbers.\n") -> str:
    return f"---\n{front}\n---\n{body}"


CHECK = "checks: [{answer: 42}]\n"


def test_a_full_job_file_becomes_a_spec(read: Reader) -> None:
    (spec,) = read(
        job(
            "title: Shortest addition chain\n"
            "checks:\n"
            "  - python: tests/visible.py\n"
            "    timeout_seconds: 20\n"
            "  - python: tests/visible.py\n"
            "    held_out: true\n"
            "    memory_mb: 256\n"
            "budget: {usd: 1.10, hours: 4, iterations: 30, tokens: 2_000_000}\n"
            "egress: full\nlane: fast\npriority: 5\nstrategy: single\nseed: 3\nkey: k1\n"
            "tags: [combinatorics, combinatorics, a/b]",
            "\n# Ignored title\n\nThe problem.\n",
        )
    )
    assert spec.title == "Shortest addition chain"
    assert spec.problem == "# Ignored title\n\nThe problem."
    assert [check.name for check in spec.checks] == ["python:visible.py", "python:visible.py#2"]
    assert [check.held_out for check in spec.checks] == [False, True]
    assert (spec.checks[0].timeout_seconds, spec.checks[1].memory_mb) == (20, 256)
    assert dict(spec.checks[0].files) == {"visible.py": "def test(): pass\n"}
    assert spec.budget.usd == Decimal("1.1")
    assert (spec.budget.hours, spec.budget.iterations, spec.budget.tokens) == (4.0, 30, 2_000_000)
    assert (spec.egress, spec.lane, spec.priority, spec.strategy) == (Egress.FULL, Lane.FAST, 5, "single")
    assert (spec.seed, spec.key, spec.tags) == (3, "k1", ("combinatorics", "a/b"))


def test_what_is_left_out_takes_the_defaults_and_the_deployments_egress(read: Reader) -> None:
    rules = Rules(validators=TwoKinds(), strategies=("correct",), egress=Egress.NEVER)
    (spec,) = read(job(CHECK), rules=rules)
    expected = JobSpec(title="Add two numbers.", problem="Add two numbers.", checks=spec.checks, egress=Egress.NEVER)
    assert spec == expected


@pytest.mark.parametrize(
    ("body", "title"),
    [
        ("intro\n\n## The heading ##\n\nmore", "The heading"),
        ("one line\nanother", "one line"),
        ("x" * 200, "x" * 119 + "…"),
    ],
)
def test_the_title_is_the_first_heading_or_the_first_line(read: Reader, body: str, title: str) -> None:
    assert read(job(CHECK, body))[0].title == title


def test_text_that_yaml_1_1_would_change_stays_text(read: Reader) -> None:
    values = [
        read(job(f"checks: [{{answer: {text}}}]"))[0].checks[0].value for text in ("12:30", "no", "010", "2024-01-01")
    ]
    assert values == ["12:30", "no", "010", "2024-01-01"]


def test_flags_beat_single_values_and_add_checks_and_tags(read: Reader) -> None:
    flags = Flags(
        checks=(parse_check_flag("answer:{number: 1, tolerance: 0.5}", held_out=True, flag="--hidden-check"),),
        budget=parse_budget_flag(["usd=0.5,hours=1", "tokens=1_000"]),
        priority=9,
        tags=("b",),
    )
    (spec,) = read(job(CHECK + "budget: {usd: 2, iterations: 7}\npriority: 1\ntags: [a]"), flags=flags)
    assert [(check.value, check.held_out) for check in spec.checks] == [
        (42, False),
        ({"number": 1, "tolerance": 0.5}, True),
    ]
    assert (spec.budget.usd, spec.budget.iterations, spec.budget.tokens) == (Decimal("0.5"), 7, 1000)
    assert (spec.priority, spec.tags) == (9, ("a", "b"))


def test_a_problem_without_front_matter_needs_only_a_check_flag(read: Reader) -> None:
    flags = Flags(checks=(parse_check_flag("python:tests/visible.py", held_out=False, flag="--check"),))
    assert read("\ufeffJust words.\r\nMore.", flags=flags)[0].problem == "Just words.\nMore."


def test_json_lines_give_a_job_a_line(read: Reader) -> None:
    line = '{"problem": "P%d", "checks": [{"answer": %d}], "budget": {"usd": 1}}'
    specs = read((line % (1, 1)) + "\n\n" + (line % (2, 2)) + "\n", name="jobs.jsonl")
    assert [(spec.problem, spec.checks[0].value) for spec in specs] == [("P1", 1), ("P2", 2)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("lines", [False, True])
def test_a_job_file_may_come_from_any_editor(read: Reader, encoding: str, lines: bool) -> None:
    text = '{"problem": "Größe?", "checks": [{"answer": "ä"}]}\n' if lines else job("checks: [{answer: ä}]", "Größe?\n")
    mark = "\ufeff" if encoding.endswith(("le", "be")) else ""
    content = (mark + text.replace("\n", "\r\n")).encode(encoding)
    (spec,) = read(content, name="jobs.jsonl" if lines else "p.md")
    assert (spec.problem, spec.checks[0].value) == ("Größe?", "ä")
    assert read_jobs(["-"], Flags(), RULES, lambda: content).specs == (spec,)


@pytest.mark.parametrize("content", [job(CHECK), '{"problem": "Add two numbers.", "checks": [{"answer": 42}]}\n'])
def test_standard_input_may_hold_either(content: str) -> None:
    (spec,) = read_jobs(["-"], Flags(), RULES, content.encode).specs
    assert spec.problem == "Add two numbers."


BAD: dict[str, tuple[str | bytes, str]] = {
    "unknown field": (
        job(CHECK + "priorty: 5"),
        "priorty: 5 is not allowed; there is no such field; did you mean 'prio",
    ),
    "unknown budget field": (job(CHECK + "budget: {usdd: 5}"), "budget.usdd: 5 is not allowed; there is no such field"),
    "wrong type": (job(CHECK + "priority: high"), "priority: 'high' is not allowed; a whole number from -100 to 100"),
    "boolean for a number": (job(CHECK + "priority: true"), "priority: True is not allowed"),
    "priority out of range": (job(CHECK + "priority: 101"), "priority: 101 is not allowed"),
    "empty problem": (job(CHECK, " \n\n"), "problem: '' is not allowed; the problem in words is missing"),
    "no checks": (job("priority: 1"), "checks: [] is not allowed; at least one check decides acceptance"),
    "checks not a list": (job("checks: {answer: 1}"), "checks: {'answer': 1} is not allowed; a list of checks"),
    "check not a mapping": (job("checks: [python]"), "checks[0]: 'python' is not allowed; `KIND: VALUE` with a kind"),
    "unknown check kind": (job("checks: [{pyton: x}]"), "did you mean 'python'? kinds are answer, python"),
    "two kinds in one check": (job("checks: [{python: x, answer: 1}]"), "exactly one kind among answer, python"),
    "no kind in a check": (job("checks: [{held_out: true}]"), "exactly one kind among answer, python"),
    "missing check file": (
        job("checks: [{python: tests/none.py}]"),
        "checks[0].python: 'tests/none.py' is not allowed",
    ),
    "held_out not boolean": (job("checks: [{answer: 1, held_out: 'yes'}]"), "checks[0].held_out: 'yes' is not allowed"),
    "timeout zero": (job("checks: [{answer: 1, timeout_seconds: 0}]"), "checks[0].timeout_seconds: 0 is not allowed"),
    "timeout too long": (job("checks: [{answer: 1, timeout_seconds: 3601}]"), "timeout_seconds: 3601 is not allowed"),
    "timeout no number": (job("checks: [{answer: 1, timeout_seconds: .nan}]"), "timeout_seconds: nan is not allowed"),
    "memory too small": (job("checks: [{answer: 1, memory_mb: 8}]"), "memory_mb: 8 is not allowed"),
    "runtime not a name": (job("checks: [{python: tests/visible.py, runtime: ../x}]"), "checks[0].runtime: '../x' is"),
    "runtime without a program": (
        job("checks: [{answer: 1, runtime: numpy}]"),
        "a check of kind answer runs no program",
    ),
    "memory not whole": (job("checks: [{answer: 1, memory_mb: 64.5}]"), "memory_mb: 64.5 is not allowed"),
    "negative budget": (job(CHECK + "budget: {usd: -1}"), "budget.usd: -1 is not allowed; a number more than 0"),
    "budget of no money": (job(CHECK + "budget: {usd: 0}"), "budget.usd: 0 is not allowed; a number more than 0"),
    "too much money": (
        job(CHECK + "budget: {usd: 100_001}"),
        "budget.usd: 100001 is not allowed; a number more than 0",
    ),
    "negative hours": (job(CHECK + "budget: {hours: -2}"), "budget.hours: -2 is not allowed; a number more than 0"),
    "too many hours": (job(CHECK + "budget: {hours: 8_761}"), "budget.hours: 8761 is not allowed; a number more"),
    "no iterations": (job(CHECK + "budget: {iterations: 0}"), "budget.iterations: 0 is not allowed"),
    "too many iterations": (job(CHECK + "budget: {iterations: 10_001}"), "budget.iterations: 10001 is not allowed"),
    "no tokens": (job(CHECK + "budget: {tokens: 0}"), "budget.tokens: 0 is not allowed"),
    "too many tokens": (
        job(CHECK + f"budget: {{tokens: {10**12 + 1}}}"),
        "budget.tokens: 1000000000001 is not allowed",
    ),
    "no such start": (job(CHECK + "start: mine.py"), "start: 'mine.py' is not allowed; a file must be there"),
    "start elsewhere": (job(CHECK + "start: ../mine.py"), "start: '../mine.py' is not allowed; files lie in the job's"),
    "start a list": (job(CHECK + "start: [a]"), "start: ['a'] is not allowed; the name of a file"),
    "start and files": (job(CHECK + "start: a.py\nfiles: [src/**]"), "left out where the job has `files`"),
    "zero budget": (job(CHECK + "budget: {hours: 0}"), "budget.hours: 0 is not allowed; a number more than 0"),
    "NaN budget": (job(CHECK + "budget: {usd: .nan}"), "budget.usd: nan is not allowed"),
    "infinite budget": (job(CHECK + "budget: {hours: .inf}"), "budget.hours: inf is not allowed"),
    "fraction of an iteration": (job(CHECK + "budget: {iterations: 1.5}"), "budget.iterations: 1.5 is not allowed"),
    "budget not fields": (job(CHECK + "budget: 5"), "budget: 5 is not allowed; fields among usd, hours"),
    "unknown lane": (job(CHECK + "lane: cloud"), "lane: 'cloud' is not allowed; one of gpu, fast"),
    "unknown egress": (job(CHECK + "egress: some"), "egress: 'some' is not allowed; one of never, hint, full"),
    "unknown strategy": (job(CHECK + "strategy: corect"), "one of best_of_n, correct, single, did you mean 'correct'?"),
    "tag with a space": (job(CHECK + "tags: [a b]"), "tags[0]: 'a b' is not allowed; letters, digits"),
    "tag that is a number": (job(CHECK + "tags: [7]"), "tags[0]: 7 is not allowed"),
    "too many tags": (job(CHECK + f"tags: {[f't{n}' for n in range(21)]}"), "a list of at most 20 tags"),
    "seed out of range": (job(CHECK + "seed: -1"), "seed: -1 is not allowed"),
    "empty key": (job(CHECK + "key: ''"), "key: '' is not allowed"),
    "long key": (job(CHECK + f"key: {'k' * 201}"), "text of 1 to 200 characters"),
    "title of two lines": (job(CHECK + 'title: "a\\nb"'), "title: 'a\\nb' is not allowed; one line of text"),
    "field given twice": (job(CHECK + "lane: gpu\nlane: fast"), "front matter line 4 column 1: 'lane: fast'"),
    "invalid YAML": (job("checks: [1"), "front matter line 2 column 11: 'checks: [1' is not allowed; not valid YAML"),
    "YAML alias": (job(CHECK + "tags: &t [a]\ntitle: *t"), "aliases are not allowed here"),
    "YAML bytes": (job("checks: [{answer: !!binary aGk=}]"), "checks[0].answer: b'hi' is not allowed; text, a number"),
    "front matter not closed": ("---\n" + CHECK + "Words", "it begins at line 1 and must be closed"),
    "front matter a list": (job("- a"), "front matter: ['a'] is not allowed; lines of `field: value`"),
    "deeply nested YAML": (job("checks: " + "[" * 3000), "not valid YAML"),
    "not UTF-8": (b"---\nchecks: []\n---\ncaf\xe9", "the byte at offset 22 is not UTF-8"),
    "NUL byte": (job(CHECK, "a\0b"), "line 5: '\\x00' is not allowed; a job file holds no NUL bytes"),
    "UTF-16 without its mark": ("x".encode("utf-16-le"), "UTF-16 begins with its mark"),
    "half of UTF-16": (b"\xff\xfea", "the byte at offset 2 is not UTF-16"),
    "NUL by escape": (job('checks: [{answer: "a\\0"}]'), "checks[0].answer: 'a\\x00' is not allowed"),
    "problem too large": (job(CHECK, "x" * 1_000_001), "problem: '1,000,001 bytes' is not allowed; at most"),
    "file too large": ("x" * 1_100_000, "it is larger than 1,064,000 bytes"),
    "picture by relative link": (job(CHECK, "See ![it](fig.png)."), "problem: 'fig.png' is not allowed; a linked file"),
}

BAD_LINES: dict[str, tuple[str, str]] = {
    "broken JSON": ('{"problem": "a", }', "jobs.jsonl line 2 column 18"),
    "not an object": ("[1]", "line 2: [1] is not allowed; each line must be one JSON object"),
    "no problem": ('{"checks": [{"answer": 1}]}', "line 2: problem: None is not allowed; each line needs"),
    "problem not text": ('{"problem": 3}', "line 2: problem: 3 is not allowed"),
    "NaN": ('{"problem": "a", "budget": {"usd": NaN}}', "line 2: "),
    "field twice": ('{"problem": "a", "problem": "b"}', "the field 'problem' is given twice"),
    "surrogate in the problem": (
        '{"problem": "\\ud800", "checks": [{"answer": 1}]}',
        "line 2: problem: '\\ud800' is not allowed; text without NUL",
    ),
    "lone surrogate": (
        '{"problem": "a", "checks": [{"answer": 1}], "title": "\\ud800"}',
        "line 2: title: '\\ud800' is not allowed",
    ),
    "unknown lane": ('{"problem": "a", "checks": [{"answer": 1}], "lane": "x"}', "line 2: lane: 'x' is not allowed"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_job_file_gets_one_line_that_names_file_field_and_value(read: Reader, case: str) -> None:
    content, expected = BAD[case]
    with pytest.raises(InvalidInput) as caught:
        read(content)
    assert expected in str(caught.value)
    assert "p.md" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_bad_json_line_is_named_by_its_number(read: Reader, case: str) -> None:
    line, expected = BAD_LINES[case]
    with pytest.raises(InvalidInput) as caught:
        read('{"problem": "fine", "checks": [{"answer": 1}]}\n' + line, name="jobs.jsonl")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


MANY_FAULTS = job(
    "title: ''\nlane: slow\nstrategy: corect\npriorty: 3\npriority: 101\nask_hours: -1\n"
    "budget: {usd: -1, hours: 1, dollars: 2}\ntags: [fine, a b, 7]\n"
    "checks:\n  - answer: 1\n    timeout_seconds: 0\n    memory_mb: 1\n  - python: none.py\n  - pyton: x.py\n",
    "See [it](a.csv) and [that](../b.csv).\n",
)


def fields_at_fault(error: InvalidInput) -> list[str]:
    return [fault.field.rpartition(": ")[2] for fault in error.faults]


def test_all_faults_of_a_job_file_are_named_at_once(read: Reader) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(MANY_FAULTS)
    assert sorted(fields_at_fault(caught.value)) == [
        *("ask_hours", "budget.dollars", "budget.usd", "checks[0].memory_mb", "checks[0].timeout_seconds"),
        *("checks[1].python", "checks[2]", "lane", "priority", "priorty", "problem", "problem", "strategy"),
        *("tags[1]", "tags[2]", "title"),
    ]
    lines = str(caught.value).split("\n")
    assert all("p.md: " in line and " is not allowed; " in line for line in lines)
    assert len(lines) == 16


@pytest.mark.parametrize(
    ("front", "fields"),
    [
        ("checks: 3", ["checks"]),  # not one more for the check that is missing then
        ("ask: yes please\nask_hours: 3\n" + CHECK, ["ask"]),
        ("files: [/etc/*]\nchecks: [{pyton: x}]", ["files"]),  # checks are read beside the files
        (CHECK + "lane: 7\nstrategy: []", ["lane", "strategy"]),
    ],
)
def test_a_fault_is_named_once_and_brings_no_other_with_it(read: Reader, front: str, fields: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(job(front))
    assert sorted(fields_at_fault(caught.value)) == fields


def test_the_faults_of_all_files_and_lines_are_named_at_once(
    read: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a long path would be shortened
    (tmp_path / "a.md").write_text(job("lane: slow\n" + CHECK, ""))
    (tmp_path / "b.md").write_text("---\nchecks: [1")
    (tmp_path / "c.jsonl").write_text(
        '{"problem": 1}\n{"problem": "P", "checks": [{"answer": 1}]}\n{"problem": "P"}\n['
    )
    (tmp_path / "good.md").write_text(job(CHECK))
    with pytest.raises(InvalidInput) as caught:
        read_jobs(["a.md", "b.md", "none.md", "c.jsonl", "good.md"], Flags(), RULES, lambda: b"")
    lines = str(caught.value).split("\n")
    assert sorted(line.partition(" is not")[0] for line in lines) == [
        "FILE: 'none.md'",
        "a.md: lane: 'slow'",
        "a.md: problem: ''",
        "b.md: front matter: '---'",
        "c.jsonl line 1: problem: 1",
        "c.jsonl line 3: checks: []",
        "c.jsonl line 4 column 2: '['",
    ]


def test_an_option_of_a_score_that_does_not_decide_is_refused(read: Reader) -> None:
    front = "checks: [{score: 'cat {candidate}', target: 3}, {score: 'wc -c {candidate}', held_out: true}]"
    with pytest.raises(InvalidInput) as caught:
        read(job(front), rules=Rules(validators=registry, strategies=("correct",)))
    assert "checks[0].target" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_of_json_lines_is_refused(read: Reader) -> None:
    with pytest.raises(InvalidInput, match="at least one job"):
        read("\n", name="jobs.jsonl")


@pytest.mark.parametrize("name", ["none.md", ".", "https://example.org/p.md"])
def test_what_is_no_readable_file_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="it cannot be read"):
        read_jobs([name], Flags(), RULES, lambda: b"")


def test_standard_input_is_read_once() -> None:
    with pytest.raises(InvalidInput, match="can be read once"):
        read_jobs(["-", "-"], Flags(), RULES, lambda: b"")


def test_a_key_flag_names_one_job(read: Reader) -> None:
    line = '{"problem": "P", "checks": [{"answer": 1}]}\n'
    with pytest.raises(InvalidInput, match="a key names one job, and 2 were given"):
        read(line * 2, name="jobs.jsonl", flags=Flags(key="k"))


@pytest.mark.parametrize("text", ["python", "python:", ":x", "py thon:x", "answer:  "])
def test_a_check_flag_is_kind_colon_value(text: str) -> None:
    with pytest.raises(InvalidInput, match="KIND:VALUE"):
        parse_check_flag(text, held_out=False, flag="--check")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("usd", "NAME=NUMBER"), ("usd=1,usd=2", "given once"), ("", "NAME=NUMBER")],
)
def test_a_budget_flag_is_name_equals_number(text: str, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        parse_budget_flag([text])


@pytest.mark.parametrize("text", ["usd=two", "hours=NaN", "hours=inf", "usd=-1", "usd=nan", "tokens=1.5", "days=3"])
def test_a_budget_flag_obeys_the_rules_of_its_field(read: Reader, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(job(CHECK), flags=Flags(budget=parse_budget_flag([text])))
    assert f"budget.{text.partition('=')[0]}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_linked_files_are_part_of_the_job_by_their_hash_and_handed_in_once(read: Reader, tmp_path: Path) -> None:
    line = '{"problem": "See [it](tests/visible.py).", "checks": [{"answer": 1}]}\n'
    (tmp_path / "jobs.jsonl").write_text(line * 2)
    made = read_jobs([str(tmp_path / "jobs.jsonl")], Flags(), RULES, bytes)
    (attachment,) = made.specs[0].attachments
    assert made.specs[1].attachments == (attachment,)
    assert (attachment.name, attachment.media_type, attachment.bytes) == ("tests/visible.py", "text/plain", 17)
    assert dict(made.contents) == {attachment.sha256: b"def test(): pass\n"}


def test_the_text_of_a_links_code_example_is_not_taken_for_an_attachment(read: Reader) -> None:
    body = "Write Markdown.\n```\n![x](y.png)\n```\nand [a site](https://example.org) and [a part](#part)"
    assert read(job(CHECK, body))[0].problem == body


def test_what_a_fork_changes_is_read_by_the_rules_of_a_submission() -> None:
    assert read_changes([]) == Changes()
    assert read_changes(
        ["usd=0.1,hours=2", "tokens=5"], strategy="correct", seed=3, strategies=("correct",)
    ) == Changes(usd=Decimal("0.1"), hours=2.0, tokens=5, strategy="correct", seed=3)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"budget": ["iterations=10001"]}, "budget.iterations"),
        ({"budget": ["usd=nan"]}, "budget.usd"),
        ({"budget": [], "seed": 2**31}, "seed"),
        ({"budget": [], "strategy": "none", "strategies": ("correct",)}, "strategy"),
    ],
)
def test_a_change_that_a_submission_would_refuse_is_refused(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_changes(**given)
    assert refused.value.field == field


def test_a_job_may_do_without_the_memory(read: Reader) -> None:
    assert read(job(CHECK))[0].memory
    assert not read(job(CHECK + "memory: false"))[0].memory
    assert not read(job(CHECK + "memory: true"), flags=Flags(memory=False))[0].memory
    with pytest.raises(InvalidInput, match="memory: 'no' is not allowed; true or false"):
        read(job(CHECK + "memory: no"))


def test_a_budget_may_be_as_small_and_as_large_as_its_limits(read: Reader) -> None:
    least = "budget: {usd: 0.000001, hours: 0.001, iterations: 1, tokens: 1}"
    most = f"budget: {{usd: 100_000, hours: 8_760, iterations: 10_000, tokens: {10**12}}}"
    for text, budget in (
        (least, Budget(usd=Decimal("0.000001"), hours=0.001, iterations=1, tokens=1)),
        (most, Budget(usd=Decimal(100_000), hours=8_760, iterations=10_000, tokens=10**12)),
    ):
        (spec,) = read(job(CHECK + text))
        assert spec.budget == budget

"""What `redraft new` writes is a whole job: it is submitted as written, and accepted with a right answer, after a wrong
one that each check is there to stop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.client import Client
from tasks.jobflags import Flags
from tasks.llm.scripted import ScriptedModel
from tasks.store.session import Database
from tasks.submit import Rules, read_jobs
from tasks.types import ChatRequest, JobSpec, JobState
from tasks.validators import registry
from tests.integration.test_examples import run as run_loop
from workers.cli.main import run
from workers.cli.new import KINDS
from workers.strategies import load_strategies

pytestmark = pytest.mark.integration

SLUG = """```python
import re

def slug(title):
    return re.sub("[^a-z0-9]+", "-", title.lower()).strip("-")
```"""
INVOICE = """```json
{"number": "2026-117", "date": "2026-05-04",
 "items": [{"what": "repair", "euros": 1240.50}, {"what": "scaffold", "euros": 380}], "pay_by": "2026-05-18"}
```"""
CORNERS = """```python
def place():
    return [(0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)]
```"""
# Wrong answers, one for each check, and the right one.
ANSWERS = {
    "code": (SLUG.replace('.strip("-")', ""), SLUG.replace("]+", "]"), SLUG),
    "maths": ("ANSWER: 90", "ANSWER: 45"),
    "extract": (INVOICE.replace('"2026-05-18"', '"in 14 days"'), INVOICE.replace("05-18", "05-14"), INVOICE),
    "score": (CORNERS.replace("0.5, 0.5", "2, 2"), CORNERS.replace("0.5, 0.5", "0.5, 0.1"), CORNERS),
}


def written(folder: Path, kind: str, name: str = "mine.md") -> JobSpec:
    """The job as `redraft new KIND NAME` writes it."""
    assert run(["new", kind, str(folder / name)]) == 0
    rules = Rules(validators=registry, strategies=tuple(load_strategies().working))
    [spec] = read_jobs([str(folder / name)], Flags(), rules, bytes).specs
    return spec


def model(kind: str) -> ScriptedModel:
    """Answers in turn; then the right one again, for a strategy that asks for several at once."""
    answers = iter(ANSWERS[kind])

    def answer(request: ChatRequest) -> str:
        review = "List the problems" in request.messages[-1].content
        return "NO PROBLEMS" if review else next(answers, ANSWERS[kind][-1])

    return ScriptedModel(answer)


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_accepted_as_it_is_written(alice: Client, fleet: Database, tmp_path: Path, kind: str) -> None:
    job = alice.submit(written(tmp_path, kind))[0]
    run_loop(fleet, model(kind))
    summary, verdicts = alice.summary(job), [v for i in alice.history(job) for v in i.verdicts]
    assert (summary.state, summary.acceptance) == (JobState.ACCEPTED, "verified")
    assert summary.answer == ANSWERS[kind][-1]
    assert {v.check for v in verdicts} == {v.check for v in verdicts if not v.passed}, "a check that stops nothing"


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_of_checks_are_named_after_the_job(tmp_path: Path, kind: str) -> None:
    written(tmp_path, kind, "roof-2.md")
    assert all(path.name.startswith("roof-2") for path in tmp_path.iterdir())
    assert f"{kind}_" not in (tmp_path / "roof-2.md").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_fields_that_a_template_names_in_comments_are_fields_with_these_values(tmp_path: Path, kind: str) -> None:
    """Each commented field can be taken in as it stands."""
    written(tmp_path, kind)
    path = tmp_path / "mine.md"
    text = path.read_text()
    fields = ("strategy", "priority", "seed", "memory", "egress", "ask")
    for name in fields:
        text = text.replace(f"\n# {name}: ", f"\n{name}: ")
    path.write_text(text)
    rules = Rules(validators=registry, strategies=tuple(load_strategies().working))
    [spec] = read_jobs([str(path)], Flags(), rules, bytes).specs
    assert (spec.priority, spec.seed, spec.memory, spec.ask) == (0, 0, True, False)


def test_nothing_is_overwritten_and_nothing_is_written_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine_hidden.py").write_text("precious")
    assert run(["new", "code", str(tmp_path / "mine.md")]) == 2
    assert "a name that is free: nothing is overwritten" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("mine_hidden.py", "precious")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cod",), "KIND: 'cod' is not allowed; one of code, maths, extract, score, did you mean 'code'?"),
        (("code", "nowhere/mine.md"), "in a folder that exists; nowhere does not"),
        (("code", "my job.md"), "the name of a Markdown file: letters, digits and . _ -"),
        (("code", "-"), "the name of a Markdown file"),
        (("code", "many.jsonl"), "the name of a Markdown file"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["new", *arguments]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert said in told.err
    assert list(tmp_path.iterdir()) == []


def test_the_files_are_listed_and_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["new", "code"]) == 0
    told = capsys.readouterr()
    assert told.out == "code.md\ncode_hidden.py\ncode_visible.py\n"
    assert "redraft submit code.md --dry-run" in told.err
    assert run(["new", "code", "two.md", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"files": ["two.md", "two_hidden.py", "two_visible.py"]}

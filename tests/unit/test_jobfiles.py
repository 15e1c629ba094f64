"""A job's files as its candidates leave them, and what is shown of them."""

from __future__ import annotations

import dataclasses

import pytest

from tasks.edits import EditError, apply_answer
from tasks.jobfiles import checks_on, file_block, files_of, refusal, shown_text, told
from tasks.prompts import build
from tasks.types import (
    Candidate,
    CandidateRef,
    CheckSpec,
    FileSet,
    Iteration,
    Job,
    JobSpec,
    Operator,
    Verdict,
    unstored_job,
)

CHECK = CheckSpec(name="command:t.sh", kind="command", value=["./t.sh"], files={"t.sh": "exit 0\n"}, folder=True)
FILES = FileSet(
    patterns=("src/**", "t.sh"),
    fixed=("t.sh",),
    writable={"src/a.py": "A = 1\n", "src/b.py": "B = 1\n"},
    read_only={"lib/c.py": "C = 1\n"},
)


def candidate(iteration: int, text: str, parent: int | None = None) -> Candidate:
    ref = CandidateRef(iteration=iteration, slot=0)
    above = None if parent is None else CandidateRef(iteration=parent, slot=0)
    operator = Operator.DRAFT if parent is None else Operator.REVISE
    return Candidate(ref=ref, operator=operator, text=text, root=ref, parent=above)


def job(*candidates: Candidate, files: FileSet = FILES) -> Job:
    spec = JobSpec(title="Both", problem="Set both to 2.", checks=(CHECK,), files=files)
    history = tuple(Iteration(number=one.ref.iteration, operator=one.operator, candidates=(one,)) for one in candidates)
    return dataclasses.replace(unstored_job(spec), history=history)


def edit(name: str, old: str, new: str) -> str:
    return f"{name}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


FIRST = candidate(1, edit("src/a.py", "A = 1", "A = 2"))
SECOND = candidate(2, edit("src/a.py", "A = 2", "A = 3") + edit("src/b.py", "B = 1", "B = 2"), parent=1)
BROKEN = candidate(2, edit("src/a.py", "A = 9", "A = 3"), parent=1)


def test_a_draft_changes_the_files_of_the_job() -> None:
    assert files_of(job(), FIRST) == {"src/a.py": "A = 2\n", "src/b.py": "B = 1\n"}


def test_a_revision_changes_the_files_of_what_it_revises() -> None:
    assert files_of(job(FIRST), SECOND) == {"src/a.py": "A = 3\n", "src/b.py": "B = 2\n"}
    with pytest.raises(EditError, match="fits nowhere"):
        files_of(job(), SECOND)


def test_a_revision_of_what_does_not_apply_changes_what_that_would_have_changed() -> None:
    third = candidate(3, edit("src/a.py", "A = 2", "A = 3"), parent=2)
    assert files_of(job(FIRST, BROKEN), third)["src/a.py"] == "A = 3\n"


def test_checks_see_read_only_and_changed_files_below_their_own() -> None:
    [check] = checks_on(job(), FIRST)
    assert check.files == {
        "lib/c.py": "C = 1\n",
        "src/a.py": "A = 2\n",
        "src/b.py": "B = 1\n",
        "t.sh": "exit 0\n",
    }
    assert (check.written, check.read_only) == (("src/a.py", "src/b.py"), ("lib/c.py",))


def test_the_checks_of_a_job_without_files_stay_as_they_are() -> None:
    without = job(files=FileSet())
    assert checks_on(without, candidate(1, "anything")) == without.spec.checks


def test_a_file_of_a_check_may_not_be_written() -> None:
    with pytest.raises(EditError, match=r"'t\.sh' may not be changed"):
        files_of(job(), candidate(1, "```sh t.sh\nexit 0\n```"))


def test_a_failed_check_says_which_files_were_written_in_vain() -> None:
    header = candidate(1, FIRST.text + "`lib/c.py`\n```\nC = 2\n```\n")
    assert files_of(job(), header) == files_of(job(), FIRST)
    failed = Verdict(check="command:t.sh", kind="command", passed=False, score=0.0, feedback="A is 1")
    passed, hidden = dataclasses.replace(failed, passed=True), dataclasses.replace(failed, held_out=True)
    assert [v.feedback for v in told(job(), header, [failed, passed, hidden])] == [
        "Not changed, for it may not be: lib/c.py.\nA is 1",
        "A is 1",
        "A is 1",
    ]
    assert told(job(), FIRST, [failed]) == (failed,)


def test_the_tests_of_a_job_with_files_are_of_the_answer_and_not_of_one_file() -> None:
    check = CheckSpec(name="python:test_a.py", kind="python", value="test_a.py", files={"test_a.py": "def test(): ..."})
    spec = dataclasses.replace(job().spec, checks=(check,))
    prompt = build.draft(unstored_job(spec)).messages[-1].content
    assert "Your answer will be checked by this file (test_a.py)" in prompt
    assert "solution.py" not in prompt


def test_a_candidate_is_shown_as_its_changed_files() -> None:
    assert shown_text(job(FIRST), SECOND) == "`src/a.py`\n```python\nA = 3\n```\n\n`src/b.py`\n```python\nB = 2\n```"
    assert shown_text(job(FIRST), BROKEN) == BROKEN.text


@pytest.mark.parametrize("text", ["", "x\n", "no end", "```\ncode\n```\n", "````\n", "\n\n  x\n"])
def test_a_file_is_read_back_as_it_is_shown(text: str) -> None:
    read = apply_answer(file_block("doc/x.md", text), {}, lambda name: True)
    assert read == {"doc/x.md": text if not text or text.endswith("\n") else f"{text}\n"}


def test_a_deleted_file_is_read_back_as_one() -> None:
    assert apply_answer(file_block("src/a.py", None), FILES.writable, FILES.is_writable) == {"src/b.py": "B = 1\n"}


def test_prompts_show_the_files_whole_and_how_to_answer() -> None:
    prompt = build.draft(job())
    assert "File `src/a.py` (you may change it):\n```\nA = 1\n```" in prompt.prefix
    assert "File `lib/c.py` (read-only):\n```\nC = 1\n```" in prompt.prefix
    assert "You may write: src/**, t.sh." in prompt.prefix
    assert prompt.rest.endswith("Write the files now, each with its path on the line before its block.")
    assert not prompt.asks_code


def test_a_revision_is_asked_for_with_the_files_as_they_are_now() -> None:
    prompt = build.revise(job(FIRST), FIRST, ())
    assert prompt.prefix == build.draft(job()).prefix
    assert "`src/a.py`\n```python\nA = 2\n```" in prompt.rest
    assert "write those that you change now" in prompt.rest


def test_what_is_wrong_with_the_files_is_shown() -> None:
    rejected = dataclasses.replace(BROKEN, verdicts=(refusal(EditError("src/a.py: An edit fits nowhere.")),))
    assert "files failed:\nsrc/a.py: An edit fits nowhere." in build.revise(job(FIRST), rejected, ()).rest


def test_files_beyond_the_room_are_named_and_counted() -> None:
    many = FileSet(patterns=("**",), writable={f"f{n:03}.py": "x = 1\n" * 2000 for n in range(300)})
    prompt = build.draft(job(files=many))
    assert "File `f007.py` (you may change it), not shown" in prompt.prefix
    assert len(prompt.omissions) == 300
    assert len(prompt.prefix) < 60_000

"""The files of a candidate, written below a folder and compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tasks.edits import EditError
from tasks.errors import InvalidInput
from tasks.types import Candidate, CandidateRef, CheckSpec, FileSet, Iteration, Job, JobSpec, Operator, unstored_job
from workers.cli import folder

REF = CandidateRef(iteration=1, slot=0)
FILES = FileSet(
    patterns=("src/**",), writable={"src/a.c": "1\n", "src/old.c": "x\r\n"}, read_only={"include/a.h": "int a;\n"}
)
ANSWER = "`src/new/b.c`\n```c\n2\n```\n```diff\n--- a/src/a.c\n+++ /dev/null\n@@ @@\n-1\n```"


def candidate(text: str = ANSWER) -> Candidate:
    return Candidate(ref=REF, operator=Operator.DRAFT, text=text, root=REF)


def job(*candidates: Candidate) -> Job:
    check = CheckSpec(name="command", kind="command", value=["true"])
    spec = JobSpec(title="t", problem="p", checks=(check,), files=FILES)
    history = (Iteration(number=1, operator=Operator.DRAFT, candidates=candidates),)
    return dataclasses.replace(unstored_job(spec), history=history)


def test_the_files_are_written_with_their_line_ends_and_those_they_build_on(tmp_path: Path) -> None:
    assert folder.write(job(), candidate(), tmp_path / "out") == ["src/a.c", "src/new/b.c"]
    found = {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in (tmp_path / "out").rglob("*.?")}
    assert found == {"src/old.c": b"x\r\n", "src/new/b.c": b"2\n", "include/a.h": b"int a;\n"}


def test_a_read_only_file_that_is_there_and_one_that_is_deleted_stay(tmp_path: Path) -> None:
    for name in ("include/a.h", "src/a.c"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("mine\n")
    folder.write(job(), candidate(), tmp_path)
    assert {(tmp_path / name).read_text() for name in ("include/a.h", "src/a.c")} == {"mine\n"}


@pytest.mark.parametrize("link", ["src", "src/new", "src/old.c"])
def test_nothing_is_written_through_a_link(tmp_path: Path, link: str) -> None:
    target, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (target / link).parent.mkdir(parents=True)
    (target / link).symlink_to(elsewhere)
    with pytest.raises(InvalidInput, match="without links"):
        folder.write(job(), candidate(), target)
    assert list(elsewhere.iterdir()) == []
    assert not (target / "include").exists()


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "src/old.c").mkdir(parents=True)
    with pytest.raises(InvalidInput, match=r"src/old\.c is no folder"):
        folder.write(job(), candidate(), tmp_path)


def test_an_answer_that_makes_no_files_writes_none(tmp_path: Path) -> None:
    with pytest.raises(EditError):
        folder.write(job(), candidate("no"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_diff_names_each_file_that_differs() -> None:
    old = folder.files_at(job(candidate()), 1, "something else")
    new = folder.files_at(job(candidate()), 1, ANSWER)
    assert folder.unified(old, new, "iteration 1", "iteration 2").splitlines() == [
        "--- a/src/a.c\titeration 1",
        "+++ /dev/null",
        "@@ -1 +0,0 @@",
        "-1",
        "--- /dev/null",
        "+++ b/src/new/b.c\titeration 2",
        "@@ -0,0 +1 @@",
        "+2",
    ]
    assert folder.unified(new, new, "", "") == ""

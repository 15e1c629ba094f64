"""Which files of `python` checks a model sees."""

from __future__ import annotations

from tasks.testfiles import beside, shown_files
from tasks.types import CheckSpec

VISIBLE = CheckSpec(
    name="python:t.py",
    kind="python",
    value="t.py",
    files={"a.py": "A = 1", "t.py": "def test(): ...", "rows.csv": "1", "x.bin": b"\xff"},
)
HIDDEN = CheckSpec(
    name="python:h.py", kind="python", value="h.py", files={"h.py": "def test_h(): ...", "k.csv": ""}, held_out=True
)


def test_the_test_comes_first_then_its_modules_and_data_by_name_alone() -> None:
    assert list(shown_files([VISIBLE, HIDDEN])) == [
        ("solution.py will be checked by this file (t.py)", "def test(): ..."),
        ("The tests use this file (a.py)", "A = 1"),
    ]
    assert beside([VISIBLE, HIDDEN]) == ["rows.csv", "x.bin"]


def test_a_visible_folder_does_not_show_the_hidden_test_in_it() -> None:
    folder = CheckSpec(
        name="python:tests",
        kind="python",
        value=".",
        files={"test_a.py": "def test_a(): ...", "test_b.py": "def test_b(): ...", "h.py": "def test_h(): ..."},
    )
    assert [text for _, text in shown_files([folder, HIDDEN])] == ["def test_a(): ...", "def test_b(): ..."]


def test_a_file_that_is_both_visible_and_hidden_is_shown() -> None:
    again = CheckSpec(name="python:t.py#2", kind="python", value="t.py", files=VISIBLE.files, held_out=True)
    assert next(shown_files([VISIBLE, again]))[1] == "def test(): ..."

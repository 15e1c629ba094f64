"""The files that a job is about: which globs match, and the one line that refuses the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.errors import InvalidInput
from tasks.filesets import FILE_BYTES, read_files
from tasks.globs import matches


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "job"
    texts: Mapping[str, bytes] = {
        "job.md": b"problem",
        "src/main.c": b"int main(void) { return 0; }\n",
        "src/deep/er/x.c": b"x\n",
        "src/__pycache__/x.pyc": b"\0",
        "src/.secret.c": b"key\n",
        ".git/config": b"[core]\n",
        "include/api.h": b"int api(void);\r\n",
        "logo.png": b"\x89PNG\0",
        "latin.txt": b"caf\xe9",
    }
    for name, content in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (tmp_path / "outside.c").write_text("secret\n")
    return root


@pytest.mark.parametrize(
    ("pattern", "named", "others"),
    [
        ("src/**", ["src/a.c", "src/b/c.c"], ["src", "lib/a.c", "srcs/a.c"]),
        ("**/*.py", ["a.py", "x/a.py", "x/y/a.py"], ["a.pyc", "x/a.c"]),
        ("src/*.c", ["src/a.c"], ["src/x/a.c", "src/a.h"]),
        ("**", ["a", "x/a"], []),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a", "z", "a/zz"]),
        ("[ab].t?t", ["a.txt", "b.tat"], ["c.txt", "a.tt"]),
    ],
)
def test_a_glob_matches_within_folders_and_across_them(pattern: str, named: list[str], others: list[str]) -> None:
    assert [name for name in (*named, *others) if matches(name, pattern)] == named


def test_a_hostile_name_takes_no_time() -> None:
    assert not matches("/".join(["a"] * 100) + "/b", "/".join(["**", "a"] * 20) + "/c")


def test_writable_and_read_only_files_are_told_apart(folder: Path) -> None:
    files = read_files(folder, ["src/**", "include/**"], ["include"])
    assert sorted(files.writable) == ["src/deep/er/x.c", "src/main.c"]
    assert files.read_only == {"include/api.h": "int api(void);\r\n"}
    assert [files.is_writable(name) for name in ("src/new.c", "include/new.h", "other.c")] == [True, False, False]


def test_a_file_named_without_may_not_be_written(folder: Path) -> None:
    files = read_files(folder, ["*.md", "src/**"], [], without=["job.md"])
    assert "job.md" not in files.writable
    assert not files.is_writable("job.md")


def test_files_that_are_not_there_yet_can_be_named(folder: Path) -> None:
    files = read_files(folder, ["solution.py", "lib/**"], [])
    assert files
    assert files.writable == {}
    assert files.is_writable("lib/x.py")


def test_a_job_without_files_names_none(folder: Path) -> None:
    assert not read_files(folder, [], [])


@pytest.mark.parametrize(
    ("files", "read_only", "field", "said"),
    [
        (["../*"], [], "files", "within it"),
        (["/etc/*"], [], "files", "within it"),
        (["src/../../*"], [], "files", "within it"),
        (["~/x"], [], "files", "within it"),
        (["src\\*"], [], "files", "within it"),
        ([".git/**"], [], "files", "not hidden"),
        (["logo.png"], [], "files", "text files"),
        (["**/*.png"], [], "files", "text files"),
        (["latin.txt"], [], "files", "UTF-8"),
        (["src/**"], ["logo.png"], "read_only", "text files"),
        (["src/**"], ["docs/**"], "read_only", "matches a file"),
        ([], ["src/**"], "read_only", "beside `files`"),
    ],
)
def test_what_is_no_text_below_the_folder_is_refused(
    folder: Path, files: list[str], read_only: list[str], field: str, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        read_files(folder, files, read_only)
    assert refused.value.field == field


def test_links_are_refused_where_they_are_matched_and_never_followed(folder: Path) -> None:
    (folder / "src/out.c").symlink_to(folder.parent / "outside.c")
    (folder / "lib").symlink_to(folder.parent)
    with pytest.raises(InvalidInput, match="link"):
        read_files(folder, ["src/*.c"], [])
    with pytest.raises(InvalidInput, match="link"):
        read_files(folder, ["lib/**"], [])
    assert sorted(read_files(folder, ["**/main.c"], []).writable) == ["src/main.c"]


def test_a_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "src/pipe.c")
    with pytest.raises(InvalidInput, match="regular"):
        read_files(folder, ["src/*"], [])


def test_too_large_and_too_many_files_are_refused(folder: Path) -> None:
    (folder / "big.txt").write_text("x" * (FILE_BYTES + 1))
    with pytest.raises(InvalidInput, match="at most 1,000,000 bytes"):
        read_files(folder, ["big.txt"], [])
    for number in range(201):
        (folder / f"n{number}.txt").write_text("x")
    with pytest.raises(InvalidInput, match="at most 200"):
        read_files(folder, ["n*.txt"], [])


def test_too_many_bytes_together_are_refused(folder: Path) -> None:
    for number in range(5):
        (folder / f"n{number}.txt").write_text("x" * 900_000)
    with pytest.raises(InvalidInput, match="bytes together"):
        read_files(folder, ["n*.txt"], [])

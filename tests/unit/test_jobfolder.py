"""What a job's file may be, whatever it is for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tasks.jobfolder import Missing, Typed, anchored, locate, read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "job"
    (inner / "sub").mkdir(parents=True)
    (inner / "sub" / "a.txt").write_text("mine")
    (tmp_path / "secret.txt").write_text("theirs")
    (inner / "same.txt").symlink_to("sub/a.txt")
    return inner


def content(folder: Path, name: str) -> bytes:
    return read(folder, locate(folder, name), 100)


@pytest.mark.parametrize("name", ["sub/a.txt", "./sub/a.txt", "sub/../sub/a.txt", "same.txt"])
def test_a_file_of_the_folder_is_read_by_every_name_it_has(folder: Path, name: str) -> None:
    assert content(folder, name) == b"mine"


def test_no_more_than_the_limit_and_a_byte_is_read(folder: Path) -> None:
    (folder / "long.txt").write_bytes(bytes(10))
    assert len(read(folder, locate(folder, "long.txt"), 4)) == 5


def test_a_missing_file_is_an_error_of_its_own(folder: Path) -> None:
    with pytest.raises(Missing, match="No such file"):
        locate(folder, "none.txt")


def test_a_folder_that_became_a_link_after_the_look_is_not_followed(folder: Path) -> None:
    (folder.parent / "away").mkdir()
    (folder.parent / "away" / "a.txt").write_text("theirs")
    path = locate(folder, "sub/a.txt")
    (folder / "sub").rename(folder / "was")
    (folder / "sub").symlink_to(folder.parent / "away")
    with pytest.raises(ValueError, match="must be readable"):
        read(folder, path, 100)


@pytest.mark.parametrize("kind", ["link", "pipe", "socket", "folder"])
def test_a_file_that_became_something_else_after_the_look_is_not_opened(folder: Path, kind: str) -> None:
    path = locate(folder, "sub/a.txt")
    path = folder / "sub" / "a.txt"
    path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    match kind:
        case "link":
            path.symlink_to(folder.parent / "secret.txt")
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with_folder = os.open(path.parent, os.O_RDONLY)  # a socket's path is at most 107 bytes long
            listener.bind(f"/proc/self/fd/{with_folder}/a.txt")
            os.close(with_folder)
        case _:
            path.mkdir()
    with listener, pytest.raises(ValueError, match="must be a regular file"):
        read(folder, path, 100)


def test_only_a_typed_path_is_looked_for_where_it_leads(folder: Path) -> None:
    outside = str(folder.parent / "secret.txt")
    for name in (outside, "../secret.txt"):
        assert anchored(folder, Typed(name)) == (folder.parent.resolve(), "secret.txt")
        assert anchored(folder, name) == (folder.resolve(), name)
    assert anchored(folder, Typed("sub/a.txt")) == (folder.resolve(), "sub/a.txt")

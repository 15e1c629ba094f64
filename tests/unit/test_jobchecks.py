"""The files of every kind of check are found by one rule, whoever wrote their names."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InvalidInput
from tasks.jobchecks import build_checks
from tasks.jobflags import parse_check_flag
from tasks.types import CheckSpec
from tasks.validators import registry

CONTENT = {
    "python": ("x_test.py", "from solution import f\ndef test_f():\n    assert f()\n"),
    "schema": ("shape.json", '{"type": "object"}'),
    "judge": ("rubric.txt", "It is short.\nIt is polite.\n"),
    "command": ("./verify.sh", "#!/bin/sh\nexit 0\n"),
}
KINDS = list(CONTENT)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A job's folder, where each kind's file leads out, is hidden, or is none, by the name of its subfolder."""
    inner = tmp_path / "job"
    for name in ("good", "link", ".hidden", "pipe", "socket", "folder", "device", "large"):
        (inner / name).mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (inner / "away").symlink_to(tmp_path / "out")
    listeners = []
    for name, content in CONTENT.values():
        for place in (tmp_path / "out", inner / "good", inner / ".hidden"):
            (place / name).write_text(content)
        (inner / "link" / name).symlink_to(tmp_path / "out" / name)
        (inner / "device" / name).symlink_to("/dev/zero")
        os.mkfifo(inner / "pipe" / name)
        (inner / "folder" / name).mkdir()
        (inner / "large" / name).write_text(content)
        os.truncate(inner / "large" / name, 5_000_000)  # a hole: it takes no space
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[-1].bind(_short(inner / "socket" / name))
    yield inner
    for listener in listeners:
        listener.close()


def _short(path: Path) -> str:
    """A socket's path is at most 107 bytes long."""
    return os.path.relpath(path)


def build(kind: str, path: str, folder: Path, **options: Any) -> CheckSpec:
    (check,) = build_checks([{kind: path, **options}], folder, registry)
    return check


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mark", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_of_the_folder_is_read_whatever_editor_wrote_it(folder: Path, kind: str, mark: str) -> None:
    name, content = CONTENT[kind]
    (folder / "good" / name).write_bytes(content.replace("\n", "\r\n").encode(mark))
    check = build(kind, f"good/{name}", folder)
    assert list(check.files.values()) == [content]
    assert check.name == f"{kind}:{Path(name).name}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("link/{}", "leads out of it"),
        ("away/{}", "leads out of it"),
        ("device/{}", "leads out of it"),
        (".hidden/{}", "hidden files are never read"),
        ("pipe/{}", "regular file"),
        ("socket/{}", "regular file"),
        ("large/{}", ""),
        ("../out/{}", ""),
        ("good/../../out/{}", ""),
        ("none/{}", "does not"),
    ],
)
def test_a_file_that_is_none_of_the_jobs_is_refused_in_one_line(folder: Path, kind: str, path: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        build(kind, path.format(CONTENT[kind][0].removeprefix("./")), folder)
    assert str(refused.value).startswith(f"checks[0].{kind}: ")
    assert "\n" not in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_absolute_path_is_refused_in_a_job_file(folder: Path, kind: str) -> None:
    with pytest.raises(InvalidInput):
        build(kind, str(folder.parent / "out" / CONTENT[kind][0]), folder)


@pytest.mark.parametrize("kind", ["python", "schema", "judge"])
@pytest.mark.parametrize("path", ["../out/{}", "{out}/{}", "away/{}"])
def test_a_path_that_a_person_typed_may_lead_anywhere(folder: Path, kind: str, path: str) -> None:
    name, content = CONTENT[kind]
    value = path.format(name, out=folder.parent / "out")
    flag = parse_check_flag(f"{kind}:{value}", held_out=True, flag="--hidden-check")
    (check,) = build_checks([flag], folder, registry)
    assert dict(check.files) == {name: content}
    assert (check.name, check.held_out) == (f"{kind}:{name}", True)


@pytest.mark.parametrize("kind", ["python", "schema", "judge"])
def test_a_pipe_is_refused_though_a_person_typed_it(folder: Path, kind: str) -> None:
    flag = parse_check_flag(f"{kind}:pipe/{CONTENT[kind][0]}", held_out=False, flag="--check")
    with pytest.raises(InvalidInput, match="regular file"):
        build_checks([flag], folder, registry)


def test_what_a_program_reads_travels_byte_for_byte(folder: Path) -> None:
    rows = "\ufeffa\r\nb\r\n"
    (folder / "rows.csv").write_bytes(rows.encode())
    (folder / "picture.bin").write_bytes(b"\x89\0\xff")
    check = build("command", "good/verify.sh rows.csv picture.bin {candidate}", folder)
    assert check.files["rows.csv"] == rows
    assert check.files["picture.bin"] == b"\x89\0\xff"


@pytest.mark.parametrize("argument", ["pipe/verify.sh", "link/verify.sh", ".hidden/verify.sh", "socket/verify.sh"])
def test_an_argument_that_is_no_file_of_the_jobs_is_refused_too(folder: Path, argument: str) -> None:
    with pytest.raises(InvalidInput, match=r"(regular file|leads out|hidden)"):
        build("command", f"sh good/verify.sh {argument}", folder)


def test_a_program_of_the_host_that_the_sandbox_does_not_have_is_refused(folder: Path) -> None:
    program = folder.parent / "out" / "verify.sh"
    program.chmod(0o755)
    with pytest.raises(InvalidInput, match="a program such as"):
        build_checks([{"command": [str(program)]}], folder, registry)
    assert build_checks([{"command": ["/bin/sh", "-c", "exit 0"]}], folder, registry)[0].files == {}


def test_binary_files_count_towards_what_a_job_may_carry(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"\xff" * 999_999)
    (folder / "v.sh").write_text("exit 0")
    checks = [{"command": "./v.sh a.bin"}] * 5
    with pytest.raises(InvalidInput, match=r"at most 4,000,000 bytes in all"):
        build_checks(checks, folder, registry)

"""Attacks with the files that a job names and with the text that people are shown. Real parts: `build_spec` with every
kind of check, and what the command line, the report and Flower make of a text. Must not know how they are run."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tasks.errors import InvalidInput
from tasks.jobfile import RawJob
from tasks.submit import Rules, build_spec
from tasks.types import Egress
from tasks.validators import registry
from tests.attacks.attack import Attack
from tests.attacks.shown import DECEPTIONS, MARKUP, PLACES, Tags, live_page, marked_up
from workers.hostnames import is_ours

AREA = "files"
SECRET = "s3cr3t-of-the-host"
PATIENCE_SECONDS = 20.0
SWAPS = 40
# A kind of file: how it is called, and content that its kind would take.
KINDS = {
    "python": ("t_test.py", f"import solution\n\n\ndef test_it():\n    assert solution.f() == '{SECRET}'\n"),
    "schema": ("shape.json", f'{{"title": "{SECRET}", "type": "object"}}'),
    "judge": ("rubric.txt", f"It says {SECRET} twice.\n"),
    "command": ("verify.sh", f"#!/bin/sh\necho {SECRET}\n"),
    "attachment": ("data.csv", f"key,{SECRET}\n"),
}
RULES = Rules(validators=registry, strategies=("single",), egress=Egress.NEVER)
FOREIGN = (
    "attacker.example",
    "attacker.example:5555",
    "127.0.0.1.attacker.example",
    "localhost.attacker.example:5555",
    "127.0.0.1@attacker.example",
    "attacker.example@127.0.0.1",
    "0.0.0.0:5555",
    "169.254.169.254",
    "127.0.0.1, attacker.example",
)


def attacks(folder: Path) -> Iterator[Attack]:
    """All of them; `folder` is an empty one to work in."""
    for kind in KINDS:
        for name, prepare in _PLACES.items():
            yield _attack(f"{kind}: {name}", _named(kind, prepare, folder / f"{kind} {name}"))
        yield _attack(
            f"{kind}: a link in the place of the file, while it is read", _swapped(kind, folder / f"{kind} swap")
        )
    for name, (source, prepare) in _TESTS.items():
        yield _attack(f"python: {name}", _carried(source, prepare, folder / f"test {name}"))
    for place, show in PLACES.items():
        for name, text in DECEPTIONS.items():
            yield _attack(f"{place}: {name}", _shown(show, text))
    for name, text in MARKUP.items():
        yield _attack(f"report: {name}", _marked(marked_up, text))
        yield _attack(f"live page: {name}", _marked(live_page, text))
    for host in FOREIGN:
        yield _attack(f"flower: the name {host}", _called(host))


def _attack(name: str, attempt: Callable[[], str | None]) -> Attack:
    return Attack(area=AREA, name=name, attempt=attempt)


# ── files that are not the job's ──────────────────────────────────────────────────────────────


def _outside(job: Path, name: str, content: str) -> Path:
    path = job.parent / "host" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return path


def _link(job: Path, name: str, content: str) -> str:
    (job / name).symlink_to(_outside(job, name, content))
    return name


def _linked_folder(job: Path, name: str, content: str) -> str:
    (job / "sub").symlink_to(_outside(job, name, content).parent)
    return f"sub/{name}"


def _link_to_a_link(job: Path, name: str, content: str) -> str:
    (job / "one").symlink_to(_outside(job, name, content))
    (job / name).symlink_to("one")
    return name


def _above(job: Path, name: str, content: str) -> str:
    return f"../{_outside(job, name, content).relative_to(job.parent)}"


def _detour(job: Path, name: str, content: str) -> str:
    (job / "sub").mkdir()
    return f"sub/../../{_outside(job, name, content).relative_to(job.parent)}"


def _absolute(job: Path, name: str, content: str) -> str:
    return str(_outside(job, name, content))


def _by_proc(job: Path, name: str, content: str) -> str:
    return f"/proc/self/root{_outside(job, name, content)}"


def _hidden(job: Path, name: str, content: str) -> str:
    (job / ".ssh").mkdir()
    (job / ".ssh" / name).write_text(content)
    return f".ssh/{name}"


def _link_to_hidden(job: Path, name: str, content: str) -> str:
    _hidden(job, name, content)
    (job / name).symlink_to(f".ssh/{name}")
    return name


def _pipe(job: Path, name: str, content: str) -> str:
    os.mkfifo(job / name)
    return name


def _device(job: Path, name: str, content: str) -> str:
    (job / name).symlink_to("/dev/zero")
    return name


def _terminal(job: Path, name: str, content: str) -> str:
    (job / name).symlink_to("/dev/tty")
    return name


def _socket(job: Path, name: str, content: str) -> str:
    here = os.open(job, os.O_RDONLY)  # a socket's path is at most 107 bytes long
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/{name}")
    os.close(here)
    return name


def _folder(job: Path, name: str, content: str) -> str:
    (job / name).mkdir()
    return name


def _round(job: Path, name: str, content: str) -> str:
    (job / name).symlink_to(name)
    return name


def _huge(job: Path, name: str, content: str) -> str:
    (job / name).write_text(content)
    os.truncate(job / name, 2**36)  # a hole: it takes no space
    return name


def _bytes(job: Path, name: str, content: str) -> str:
    (job / name).write_bytes(content.encode("utf-16-le"))  # without its mark: every other byte is NUL
    return name


_PLACES: dict[str, Callable[[Path, str, str], str]] = {
    "a link out of the folder": _link,
    "a folder that is a link out": _linked_folder,
    "a link to a link out": _link_to_a_link,
    "above the folder": _above,
    "above the folder by a detour": _detour,
    "an absolute path": _absolute,
    "an absolute path through /proc": _by_proc,
    "a hidden file": _hidden,
    "a link to a hidden file": _link_to_hidden,
    "a pipe": _pipe,
    "a device": _device,
    "the terminal": _terminal,
    "a socket": _socket,
    "a folder": _folder,
    "a link to itself": _round,
    "64 GB": _huge,
    "NUL bytes": _bytes,
}


def _named(kind: str, prepare: Callable[[Path, str, str], str], scratch: Path) -> Callable[[], str | None]:
    def attempt() -> str | None:
        job = _job_folder(scratch)
        name, content = KINDS[kind]
        path = prepare(job, name, content)
        accepted, words = _patiently(lambda: _submitted(kind, path, job))
        if accepted is None:
            return words if "\n" in words or SECRET in words or not words.startswith("p.md: ") else None
        return f"{path} was accepted" + (" with its content" if SECRET in accepted else "")

    return attempt


def _swapped(kind: str, scratch: Path) -> Callable[[], str | None]:
    """The file is honest when it is looked at; whether it is when it is opened, nobody knows."""

    def attempt() -> str | None:
        job = _job_folder(scratch)
        name, content = KINDS[kind]
        honest, link = job / "honest", job / "link"
        secret = _outside(job, name, content)
        over = threading.Event()

        def swap() -> None:
            while not over.is_set():
                honest.write_text(content.replace(SECRET, "mine"))
                honest.replace(job / name)
                link.symlink_to(secret)
                link.replace(job / name)

        swapping = threading.Thread(target=swap)
        swapping.start()
        try:
            seen = [_submitted(kind, name, job)[0] or "" for _ in range(SWAPS)]
        finally:
            over.set()
            swapping.join()
        return "a file of the host was read" if any(SECRET in text for text in seen) else None

    return attempt


def _submitted(kind: str, path: str, job: Path) -> tuple[str | None, str]:
    """All that would be stored of a job that names `path`; None and the line that refuses it."""
    problem = f"See [it]({path.replace(' ', '%20')})." if kind == "attachment" else "Write it."
    values: dict[str, Any] = {"attachment": {"answer": 1}, "command": {"command": [f"./{path}".replace(".//", "/")]}}
    fields = {"checks": [values.get(kind, {kind: path})], "strategy": "single"}
    try:
        spec, attached = build_spec(RawJob(where="p.md", folder=job, fields=fields, problem=problem), RULES)
    except InvalidInput as error:
        return None, str(error)
    return f"{[check.files for check in spec.checks]}{[file.content for file in attached]}", ""


def _patiently(call: Callable[[], tuple[str | None, str]]) -> tuple[str | None, str]:
    """What `call` gives back, or a line that it hangs; what waits for a pipe cannot be ended."""
    came: list[tuple[str | None, str]] = []
    thread = threading.Thread(target=lambda: came.append(call()), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return came[0] if came else ("", "it hangs")


def _job_folder(scratch: Path) -> Path:
    job = scratch / "job"
    job.mkdir(parents=True)
    return job


# ── tests that name what is not theirs ────────────────────────────────────────────────────────


def _nothing(job: Path) -> None:
    """The host's file is there anyway."""


def _linked_module(job: Path) -> None:
    (job / "helper.py").symlink_to("../host/helper.py")


def _linked_data(job: Path) -> None:
    (job / "rows.csv").symlink_to("../host/rows.csv")


def _linked_data_folder(job: Path) -> None:
    (job / "rows").symlink_to("../host")


def _hidden_data(job: Path) -> None:
    (job / ".env").write_text(SECRET)
    (job / ".aws").mkdir()
    (job / ".aws" / "credentials.csv").write_text(SECRET)


def _own_solution(job: Path) -> None:
    """As good as a passing answer, were it to stand in the place of the candidate's."""
    (job / "solution").mkdir()
    for name in ("solution.py", "solution/__init__.py", "solution.so"):
        (job / name).write_text(f"answer = '{SECRET}'")


_TESTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "imports a module that is a link out": ("import helper", _linked_module),
    "imports from above the folder": ("from .. import helper", _nothing),
    "imports by a relative name": ("from ...host import helper", _nothing),
    "reads a file above the folder": ('open("../host/rows.csv")', _nothing),
    "reads a file above by its parts": ('Path(__file__).parent / ".." / "host" / "rows.csv"', _nothing),
    "reads a file by its absolute path": ('open("/etc/passwd"), open("{host}/rows.csv")', _nothing),
    "reads a file that is a link out": ('open("rows.csv")', _linked_data),
    "names a file that is a link out": ('NAMES = ["rows.csv"]', _linked_data),
    "reads a folder that is a link out": ('Path(__file__).parent / "rows"', _linked_data_folder),
    "reads a file of a folder that is a link out": ('Path("rows/rows.csv")', _linked_data_folder),
    "reads by a pattern above the folder": ('glob("../host/*.csv")', _nothing),
    "reads by a pattern through a link": ('Path("rows").glob("*.csv")', _linked_data_folder),
    "reads hidden files": ('open(".env"), open(".aws/credentials.csv"), Path(".aws")', _hidden_data),
    "reads hidden files by a pattern": ('Path().glob(".e*"), Path(".aws").glob("*.csv")', _hidden_data),
    "brings a solution along": ('Path("solution"), "solution.py", "solution.so"', _own_solution),
    "imports a solution of its own": ("import solution.inner", _own_solution),
}


def _carried(source: str, prepare: Callable[[Path], None], scratch: Path) -> Callable[[], str | None]:
    """The test as a file, and the folder that it lies in; to be refused is as good as to travel without the secret."""

    def attempt() -> str | None:
        job = _job_folder(scratch)
        for name in ("helper.py", "rows.csv"):
            _outside(job, name, f"# {SECRET}")
        prepare(job)
        text = f"from pathlib import Path\nfrom glob import glob\n{source}\n\n\ndef test_it(): ...\n"
        (job / "test_it.py").write_text(text.replace("{host}", str(job.parent / "host")))
        for path in ("test_it.py", "."):
            accepted, words = _patiently(lambda path=path: _submitted("python", path, job))
            if accepted is None and SECRET not in words:
                continue
            if accepted is None or SECRET in accepted or words:
                return f"{path} carried what is not the test's{words and ': '}{words}"
        return None

    return attempt


# ── what people are shown ─────────────────────────────────────────────────────────────────────


def _shown(show: Callable[[str], str], text: str) -> Callable[[], str | None]:
    hidden = {letter for letter in text if not letter.isprintable()}

    def attempt() -> str | None:
        left = hidden & set(show(text)) - {"\n"}
        return f"{', '.join(sorted(f'U+{ord(letter):04X}' for letter in left))} got through" if left else None

    return attempt


def _marked(made: Callable[[str], str], text: str) -> Callable[[], str | None]:
    def attempt() -> str | None:
        tags = Tags(made(text)).seen
        return None if tags == Tags(made("plain")).seen else f"the page has other tags than it should: {tags}"

    return attempt


def _called(host: str) -> Callable[[], str | None]:
    return lambda: f"{host} is taken for Flower's own name" if is_ours(host, ()) else None

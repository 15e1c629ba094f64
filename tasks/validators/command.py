"""The check `command: …`: a program of the user's judges the candidate in the sandbox. Exit code 0 passes, and what it
writes to standard output is the feedback.

The program is the user's and is believed: one that runs the candidate as code must itself see to it that the candidate
can't end it with 0. Must not know how the sandbox confines.
"""

from __future__ import annotations

import codecs
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from tasks.decoding import exact
from tasks.errors import InvalidInput
from tasks.ports import Heartbeat, Sandbox
from tasks.types import CheckSpec, SandboxJob, SandboxResult, Verdict
from tasks.validators.ending import ended
from tasks.validators.files import read_content, text_of
from tasks.validators.text import clipped, printable

CANDIDATE = "candidate"  # its file's name, beside the program
PLACEHOLDER = "{candidate}"
ARGUMENTS = 50
ARGUMENT_CHARS = 1000
FILE_BYTES = 1_000_000
CANDIDATE_CHARS = 1_000_000
FEEDBACK_CHARS = 1500
# What the sandbox's own interpreter is called there; everything else of it is in these folders.
_PYTHON = frozenset({"python", "python3"})
_SYSTEM = "/usr/bin:/bin"
_SYSTEM_FOLDERS = ("/usr/", "/bin/", "/sbin/", "/lib/")
_NOT_STARTED = frozenset({126, 127})  # as a shell says it, and prlimit
_ALLOWED = 'a list such as ["./verify.sh", "{candidate}"], or one text that is split as a shell does'


class CommandValidator:
    """A program. Score: 1 or 0."""

    kind: ClassVar[str] = "command"
    cost: ClassVar[int] = 5
    takes_runtime: ClassVar[bool] = True

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str | bytes]]:
        """The arguments, and the files among them by their paths below `folder`: the program first.

        A `.py` program is run by the sandbox's Python. Raises `InvalidInput`.
        """
        argv = _arguments(value)
        here = Path.cwd() if folder is None else folder
        files: dict[str, str | bytes] = {}
        for number, argument in enumerate(argv):
            named = _file_of(argument, here, program=number == 0)
            if named is not None:
                _, content = read_content("command", named, here, FILE_BYTES)
                # A byte order mark, or a CR behind `#!/bin/sh`, would confuse an interpreter; data stays as it is.
                script = _is_script(named, content)
                files[named] = text_of("command", argument, content) if script else exact(content)
        if CANDIDATE in files:
            raise InvalidInput("command", value, f"files with other names than `{CANDIDATE}`, which is the answer's")
        first = _normal(argv[0])
        if first in files:
            argv = ["python", first, *argv[1:]] if first.endswith(".py") else [f"./{first}", *argv[1:]]
        elif argv[0] not in _PYTHON and not _is_there(argv[0]):
            raise InvalidInput("command", argv[0], "a file beside the job file, or a program such as sh or python")
        return argv, files

    def examine(self, check: CheckSpec) -> None:
        """Raises `InvalidInput` where the arguments name no program: what begins with - is an option of whatever starts
        it."""
        program = _arguments(check.value)[0] if isinstance(check.value, list) else ""
        if not program or program[0] == "-":
            raise InvalidInput("command", check.value, "a program first")

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Verdict:
        """Raises only `ServiceFault`s and what `heartbeat` raises."""
        if len(candidate) > CANDIDATE_CHARS:
            return _verdict(check, "The answer is over a million characters long.", 0.0)
        text = candidate.encode("utf-8", "replace")
        written = [str(argument) for argument in check.value]
        named = any(PLACEHOLDER in argument for argument in written)
        job = SandboxJob(
            argv=tuple(argument.replace(PLACEHOLDER, CANDIDATE) for argument in written),
            files={**check.files, CANDIDATE: text},
            stdin=b"" if named else text,
            timeout_seconds=check.timeout_seconds,
            memory_mb=check.memory_mb,
            runtime=check.runtime,
        )
        result = sandbox.run(job, heartbeat)
        return _verdict(check, _feedback(result, check), result.seconds)


def _arguments(value: Any) -> list[str]:
    if isinstance(value, str):
        try:
            argv = shlex.split(value)
        except ValueError as error:
            raise InvalidInput("command", value, f"a text that a shell could split ({error})") from None
    elif isinstance(value, list):
        argv = [str(argument) if _is_plain(argument) else "" for argument in value]
        if any(not _is_plain(argument) for argument in value):
            raise InvalidInput("command", value, "a list of texts and numbers")
    else:
        raise InvalidInput("command", value, _ALLOWED)
    if not argv or not argv[0].strip():
        raise InvalidInput("command", value, _ALLOWED)
    if len(argv) > ARGUMENTS or any(len(argument) > ARGUMENT_CHARS for argument in argv):
        raise InvalidInput("command", value, f"at most {ARGUMENTS} arguments of {ARGUMENT_CHARS} characters")
    if PLACEHOLDER in argv[0]:
        raise InvalidInput("command", value, "a program of yours first: the answer is never run itself")
    return argv


def _is_plain(argument: Any) -> bool:
    return isinstance(argument, str | int | float) and not isinstance(argument, bool)


def _is_there(program: str) -> bool:
    """Whether it is one of the system's programs, which are all that the sandbox has."""
    path = shutil.which(program, path=_SYSTEM)
    return path is not None and path.startswith(_SYSTEM_FOLDERS)


def _is_script(name: str, content: bytes) -> bool:
    return name.endswith((".py", ".sh")) or content.removeprefix(codecs.BOM_UTF8).startswith(b"#!")


def _file_of(argument: str, here: Path, *, program: bool) -> str | None:
    """The path below `here` of the file that an argument names, or None. The program must be a file where it looks
    like one; another argument is taken as it stands where there is no such file."""
    relative = PurePosixPath(_normal(argument))
    looks_so = program and not relative.is_absolute() and ("/" in argument or re.search(r"\.\w{1,4}$", argument))
    if relative.is_absolute() or not relative.parts:
        return None
    there = os.path.lexists(here / relative) and not (here / relative).is_dir()
    if not there and not looks_so:
        return None
    if ".." in relative.parts:
        raise InvalidInput("command", argument, "files beside the job file or below its folder")
    return str(relative)


def _normal(argument: str) -> str:
    """`verify.sh` for `./verify.sh`; `..` stays."""
    return str(PurePosixPath(argument))


def _feedback(result: SandboxResult, check: CheckSpec) -> str:
    """Empty where the program accepted; else what it said, or how it ended."""
    if result.killed is None and result.exit_code == 0:
        return ""
    said = printable(result.stdout).strip()
    complaint = printable(result.stderr).strip()
    if result.killed is not None or result.exit_code > 128:
        why = f"The checking program did not finish: {ended(result, check)}."
        return clipped(f"{why}\n{said}".strip(), FEEDBACK_CHARS)
    if result.exit_code in _NOT_STARTED and complaint and not said:
        return clipped(f"The checking program could not be started: {complaint}", FEEDBACK_CHARS)
    if said:
        return clipped(said, FEEDBACK_CHARS)
    return clipped(f"The checking program ended with exit code {result.exit_code}. {complaint}", FEEDBACK_CHARS).strip()


def _verdict(check: CheckSpec, feedback: str, seconds: float) -> Verdict:
    return Verdict(
        check=check.name,
        kind=check.kind,
        passed=not feedback,
        score=0.0 if feedback else 1.0,
        held_out=check.held_out,
        feedback=feedback,
        seconds=seconds,
    )

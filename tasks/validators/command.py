"""The check `command: …`: a program of the user's decides on the candidate in the sandbox. Exit code 0 passes, and its
standard output is the feedback.

The user's program is trusted: if it runs the candidate as code, it must itself prevent the candidate from ending it
with 0. Must not know how the sandbox confines.
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
from tasks.types import CheckSpec, FileSet, SandboxJob, SandboxResult, Verdict
from tasks.validators.ending import ended
from tasks.validators.files import read_content, text_of
from tasks.validators.text import clipped, printable
from tasks.validators.toolchains import SYSTEM, TOOLCHAINS
from tasks.validators.verdicts import verdict_of

CANDIDATE = "candidate"  # its file's name, beside the program
PLACEHOLDER = "{candidate}"
ARGUMENTS = 50
NO_FILES = FileSet()
ARGUMENT_CHARS = 1000
FILE_BYTES = 1_000_000
CANDIDATE_CHARS = 1_000_000
FEEDBACK_CHARS = 1500
# The names of the sandbox's own interpreter; all other programs in the sandbox are in these folders.
_PYTHON = frozenset({"python", "python3"})
_SYSTEM_FOLDERS = ("/usr/", "/bin/", "/sbin/", "/lib/")
_NOT_STARTED = frozenset({126, 127})  # the exit codes of a shell and of prlimit
_ALLOWED = 'a list such as ["./verify.sh", "{candidate}"], or one text that is split as a shell does'


class CommandValidator:
    """A program. Score: 1 or 0."""

    kind: ClassVar[str] = "command"
    cost: ClassVar[int] = 5
    takes_runtime: ClassVar[bool] = True

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str | bytes]]:
        """The arguments, program first, and the files among them by their paths below `folder`.

        A `.py` program is run by the sandbox's Python. Raises `InvalidInput`.
        """
        return self._parse(value, folder, NO_FILES)

    def parse_beside(self, value: Any, folder: Path | None, files: FileSet) -> tuple[Any, Mapping[str, str | bytes]]:
        """As `parse`. A file of the job may be no argument unless it is the program, or read-only: its text would be
        the one of the submission."""
        return self._parse(value, folder, files)

    def _parse(self, value: Any, folder: Path | None, job_files: FileSet) -> tuple[Any, Mapping[str, str | bytes]]:
        argv = _arguments(value)
        root = Path.cwd() if folder is None else folder
        files: dict[str, str | bytes] = {}
        for number, argument in enumerate(argv):
            path = _file_of(argument, root, program=number == 0)
            if path is not None and number and job_files.is_writable(path):
                allowed = "a file that `files` does not match, or that `read_only` names: the answer writes this one"
                raise InvalidInput("command", argument, f'{allowed} (sh -c "…" runs the answer\'s)')
            if path is not None:
                _, content = read_content("command", path, root, FILE_BYTES)
                # A byte order mark, or a CR after `#!/bin/sh`, would confuse an interpreter; data stays as it is.
                script = _is_script(path, content)
                files[path] = text_of("command", argument, content) if script else exact(content)
        if CANDIDATE in files:
            raise InvalidInput("command", value, f"files with other names than `{CANDIDATE}`, which is the answer's")
        first = _normalized(argv[0])
        if first in files:
            argv = ["python", first, *argv[1:]] if first.endswith(".py") else [f"./{first}", *argv[1:]]
        elif argv[0] not in _PYTHON and not _is_system_program(argv[0]):
            raise InvalidInput("command", argv[0], _programs(argv[0]))
        return argv, files

    def examine(self, check: CheckSpec) -> None:
        """Raises `InvalidInput` where the first argument is no program: one that begins with - would be an option of
        the launcher."""
        program = _arguments(check.value)[0] if isinstance(check.value, list) else ""
        if not program or program[0] == "-":
            raise InvalidInput("command", check.value, "a program first")

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Verdict:
        """Raises only `ServiceFault`s and what `heartbeat` raises."""
        if len(candidate) > CANDIDATE_CHARS:
            return verdict_of(check, feedback="The answer is over a million characters long.")
        text = candidate.encode("utf-8", "replace")
        arguments = [str(argument) for argument in check.value]
        has_placeholder = any(PLACEHOLDER in argument for argument in arguments)
        job = SandboxJob(
            argv=tuple(argument.replace(PLACEHOLDER, CANDIDATE) for argument in arguments),
            files={**check.files, CANDIDATE: text},
            stdin=b"" if has_placeholder else text,
            timeout_seconds=check.timeout_seconds,
            memory_mb=check.memory_mb,
            runtime=check.runtime,
        )
        result = sandbox.run(job, heartbeat)
        return verdict_of(check, feedback=_feedback(result, check), seconds=result.seconds)


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


def _is_system_program(program: str) -> bool:
    """Whether it is a program of the system: the sandbox has no others."""
    path = shutil.which(program, path=SYSTEM)
    return path is not None and path.startswith(_SYSTEM_FOLDERS)


def _programs(program: str) -> str:
    """What a program may be, and what brings a compiler that the system lacks."""
    missing = next((one.advice for one in TOOLCHAINS.values() if one.program == program), "")
    allowed = "a file beside the job file, or a program such as sh or python"
    return f"{allowed}; {program} is missing: {missing}" if missing else allowed


def _is_script(name: str, content: bytes) -> bool:
    return name.endswith((".py", ".sh")) or content.removeprefix(codecs.BOM_UTF8).startswith(b"#!")


def _file_of(argument: str, folder: Path, *, program: bool) -> str | None:
    """The path below `folder` of the file that an argument names, or None. If the program looks like a file, it must be
    one; any other argument that is no file is passed on unchanged."""
    relative = PurePosixPath(_normalized(argument))
    looks_like_file = program and not relative.is_absolute() and ("/" in argument or re.search(r"\.\w{1,4}$", argument))
    if relative.is_absolute() or not relative.parts:
        return None
    exists = os.path.lexists(folder / relative) and not (folder / relative).is_dir()
    if not exists and not looks_like_file:
        return None
    if ".." in relative.parts:
        raise InvalidInput("command", argument, "files beside the job file or below its folder")
    return str(relative)


def _normalized(argument: str) -> str:
    """`verify.sh` for `./verify.sh`; `..` stays."""
    return str(PurePosixPath(argument))


def _feedback(result: SandboxResult, check: CheckSpec) -> str:
    """Empty where the program accepted; otherwise its output, or how it ended."""
    if result.killed is None and result.exit_code == 0:
        return ""
    output = printable(result.stdout).strip()
    error_output = printable(result.stderr).strip()
    if result.killed is not None or result.exit_code > 128:
        reason = f"The checking program did not finish: {ended(result, check)}."
        return clipped(f"{reason}\n{output}".strip(), FEEDBACK_CHARS)
    if result.exit_code in _NOT_STARTED and error_output and not output:
        return clipped(f"The checking program could not be started: {error_output}", FEEDBACK_CHARS)
    if output:
        return clipped(output, FEEDBACK_CHARS)
    return clipped(
        f"The checking program ended with exit code {result.exit_code}. {error_output}", FEEDBACK_CHARS
    ).strip()

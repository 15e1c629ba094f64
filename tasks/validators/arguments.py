"""A program of the user's that a check runs in the sandbox: its arguments and the files that travel with it. Must not
know what the check makes of its result, nor how the sandbox confines."""

from __future__ import annotations

import codecs
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.decoding import exact
from tasks.errors import InvalidInput
from tasks.types import CheckSpec, FileSet, SandboxJob
from tasks.validators.files import read_content, text_of
from tasks.validators.toolchains import SYSTEM, TOOLCHAINS

CANDIDATE = "candidate"  # its file's name, beside the program
PLACEHOLDER = "{candidate}"
ARGUMENTS = 50
ARGUMENT_CHARS = 1000
FILE_BYTES = 1_000_000
CANDIDATE_CHARS = 1_000_000
TOO_LONG = "The answer is over a million characters long."
NO_FILES = FileSet()
NOTHING: Mapping[str, str | bytes] = {}
# Runs a program with its own folder last in the path: what an answer writes there hides no module of Python's own, nor
# of the check's runtime.
_LAST_IN_PATH = (
    "import os, runpy, sys; del sys.argv[0]; sys.path.append(os.path.dirname(os.path.abspath(sys.argv[0]))); "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)
NOT_STARTED = frozenset({126, 127})  # the exit codes of a shell and of prlimit
# The names of the sandbox's own interpreter; all other programs in the sandbox are in these folders.
_PYTHON = frozenset({"python", "python3"})
_SHELLS = frozenset({"sh", "bash", "dash"})
_IS_SCRIPT = re.compile(r"-[a-z]*c")  # -c, or -euc
_SYSTEM_FOLDERS = ("/usr/", "/bin/", "/sbin/", "/lib/")
_ALLOWED = 'a list such as ["./verify.sh", "{candidate}"], or one text that is split as a shell does'


def read_program(
    field: str, value: Any, folder: Path | None, job_files: FileSet = NO_FILES
) -> tuple[list[str], dict[str, str | bytes]]:
    """The arguments that a user wrote, program first, and the files among them by their paths below `folder`, those
    included that a script after `sh -c` names, unless an answer writes them.

    A `.py` program is run by the sandbox's Python. Of `job_files` none that an answer writes may be an argument but the
    program. Raises `InvalidInput` for `field`.
    """
    argv = _arguments(field, value)
    root = Path.cwd() if folder is None else folder
    files: dict[str, str | bytes] = {}
    for number, argument in enumerate(argv):
        path = _file_of(field, argument, root, program=number == 0)
        if path is not None and number and job_files.is_writable(path):
            allowed = "a file that `files` does not match, or that `read_only` names: the answer writes this one"
            raise InvalidInput(field, argument, f'{allowed} (sh -c "…" runs the answer\'s)')
        if path is not None:
            files[path] = _content(field, argument, path, root)
    for word in _script_words(argv):
        path = _file_of(field, word, root, program=False)
        if path is not None and not job_files.is_writable(path):
            files[path] = _content(field, word, path, root)
    if CANDIDATE in files:
        raise InvalidInput(field, value, f"files with other names than `{CANDIDATE}`, which is the answer's")
    first = _normalized(argv[0])
    if first in files:
        argv = ["python", first, *argv[1:]] if first.endswith(".py") else [f"./{first}", *argv[1:]]
    elif argv[0] not in _PYTHON and not _is_system_program(argv[0]):
        raise InvalidInput(field, argv[0], _programs(argv[0]))
    return argv, files


def examine_program(field: str, value: Any) -> None:
    """Raises `InvalidInput` where the first of stored arguments is no program: one that begins with - would be an
    option of the launcher."""
    program = _arguments(field, value)[0] if isinstance(value, list) else ""
    if not program or program[0] == "-":
        raise InvalidInput(field, value, "a program first")


def job_of(
    argv: Sequence[Any], candidate: str, check: CheckSpec, beside: Mapping[str, str | bytes] = NOTHING
) -> SandboxJob:
    """The run of a program with the files of `check`, those `beside` them, which go before any, and the candidate: in
    the file that a placeholder names, else on standard input."""
    text = candidate.encode("utf-8", "replace")
    arguments = [str(argument) for argument in argv]
    if check.folder and arguments[0] in _PYTHON and len(arguments) > 1 and arguments[1] in check.files:
        arguments = ["python", "-P", "-c", _LAST_IN_PATH, *arguments[1:]]
    has_placeholder = any(PLACEHOLDER in argument for argument in arguments)
    return SandboxJob(
        argv=tuple(argument.replace(PLACEHOLDER, CANDIDATE) for argument in arguments),
        files={**check.files, **beside, CANDIDATE: text},
        stdin=b"" if has_placeholder else text,
        timeout_seconds=check.timeout_seconds,
        memory_mb=check.memory_mb,
        runtime=check.runtime,
    )


def _arguments(field: str, value: Any) -> list[str]:
    if isinstance(value, str):
        try:
            argv = shlex.split(value)
        except ValueError as error:
            raise InvalidInput(field, value, f"a text that a shell could split ({error})") from None
    elif isinstance(value, list):
        argv = [str(argument) if _is_plain(argument) else "" for argument in value]
        if any(not _is_plain(argument) for argument in value):
            raise InvalidInput(field, value, "a list of texts and numbers")
    else:
        raise InvalidInput(field, value, _ALLOWED)
    if not argv or not argv[0].strip():
        raise InvalidInput(field, value, _ALLOWED)
    if len(argv) > ARGUMENTS or any(len(argument) > ARGUMENT_CHARS for argument in argv):
        raise InvalidInput(field, value, f"at most {ARGUMENTS} arguments of {ARGUMENT_CHARS} characters")
    if PLACEHOLDER in argv[0]:
        raise InvalidInput(field, value, "a program of yours first: the answer is never run itself")
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


def _content(field: str, argument: str, path: str, root: Path) -> str | bytes:
    """Of a file: a byte order mark, or a CR after `#!/bin/sh`, would confuse an interpreter; data stays as it is."""
    _, content = read_content(field, path, root, FILE_BYTES)
    return text_of(field, argument, content) if _is_script(path, content) else exact(content)


def _script_words(argv: Sequence[str]) -> Sequence[str]:
    """The words of the script of `sh -c`, without the candidate's and those that lead out of the folder."""
    if len(argv) < 3 or PurePosixPath(argv[0]).name not in _SHELLS or not _IS_SCRIPT.fullmatch(argv[1]):
        return ()
    lexer = shlex.shlex(argv[2], posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return ()
    return [word for word in words if word != CANDIDATE and ".." not in PurePosixPath(word).parts]


def _is_script(name: str, content: bytes) -> bool:
    return name.endswith((".py", ".sh")) or content.removeprefix(codecs.BOM_UTF8).startswith(b"#!")


def _file_of(field: str, argument: str, folder: Path, *, program: bool) -> str | None:
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
        raise InvalidInput(field, argument, "files beside the job file or below its folder")
    return str(relative)


def _normalized(argument: str) -> str:
    """`verify.sh` for `./verify.sh`; `..` stays."""
    return str(PurePosixPath(argument))

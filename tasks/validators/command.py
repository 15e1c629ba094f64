"""The check `command: [PROGRAM, …]`: a program of the user's looks at the candidate, in the sandbox.

Exit 0 passes; what it prints is the feedback. Must not know how the sandbox confines.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from tasks.errors import InvalidInput
from tasks.ports import Pulse, Sandbox, SandboxJob
from tasks.types import CheckSpec, Verdict
from tasks.validators.ending import how_it_ended
from tasks.validators.files import read_text
from tasks.validators.text import clipped

PLACEHOLDER = "{candidate}"
CANDIDATE = "candidate.txt"
ARGUMENTS = 50
CANDIDATE_CHARS = 1_000_000
FEEDBACK_CHARS = 4_000
_ALLOWED = 'a command such as ["./verify.sh", "{candidate}"]'


class CommandValidator:
    """A program's word. Score: 1 or 0."""

    kind: ClassVar[str] = "command"
    cost: ClassVar[int] = 20

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str]]:
        """The arguments, and the text of each that is a file below `folder`. Raises `InvalidInput`."""
        arguments = _arguments(value)
        files: dict[str, str] = {}
        for number, argument in enumerate(arguments):
            path = PurePosixPath(argument)
            if path.is_absolute() or ".." in path.parts:
                if (
                    number == 0
                    and path.parts[:3] not in (("/", "usr", "bin"), ("/", "bin"))
                    and path.parts[:2] != ("/", "bin")
                ):
                    raise InvalidInput("command", argument, "a program below the job file, or one of /usr/bin")
                continue
            if argument.startswith("./") or ((folder or Path()) / argument).is_file():
                files[str(path)] = read_text("command", argument, folder)
        if CANDIDATE in files:
            raise InvalidInput("command", CANDIDATE, "another name for the file: this one is the candidate's")
        return list(arguments), files

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, pulse: Pulse) -> Verdict:
        """Raises only `ServiceFault`s and what `pulse` raises."""
        if not candidate.strip() or len(candidate) > CANDIDATE_CHARS:
            why = "There is no answer." if not candidate.strip() else "The answer is over a million characters long."
            return _verdict(check, passed=False, feedback=why, seconds=0.0)
        text = candidate.encode("utf-8", "replace")
        arguments = tuple(str(argument) for argument in check.value)
        job = SandboxJob(
            argv=tuple(argument.replace(PLACEHOLDER, CANDIDATE) for argument in arguments),
            files={**check.files, CANDIDATE: text},
            stdin=b"" if any(PLACEHOLDER in argument for argument in arguments) else text,
            timeout_seconds=check.timeout_seconds,
            memory_mb=check.memory_mb,
        )
        result = sandbox.run(job, pulse)
        passed = result.killed is None and result.exit_code == 0
        said = clipped((result.stdout.strip() or result.stderr.strip()), FEEDBACK_CHARS)
        ended = how_it_ended(result, check)
        told = "\n".join(part for part in (f"The check did not end by itself: {ended}." if ended else "", said) if part)
        feedback = "" if passed else told or f"The check ended with exit code {result.exit_code} and said nothing."
        return _verdict(check, passed=passed, feedback=feedback, seconds=result.seconds)


def _arguments(value: Any) -> Sequence[str]:
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as error:
            raise InvalidInput("command", value, f"{_ALLOWED} ({error})") from None
    if not isinstance(value, list) or not value or not all(isinstance(part, str) and part for part in value):
        raise InvalidInput("command", value, _ALLOWED)
    if len(value) > ARGUMENTS or any("\0" in part for part in value):
        raise InvalidInput("command", value, f"at most {ARGUMENTS} arguments, without NUL")
    if value[0].startswith("-") or PLACEHOLDER in value[0]:
        raise InvalidInput("command", value[0], "the program comes first; the candidate is no program")
    return value


def _verdict(check: CheckSpec, *, passed: bool, feedback: str, seconds: float) -> Verdict:
    return Verdict(
        check=check.name,
        kind=check.kind,
        passed=passed,
        score=float(passed),
        held_out=check.held_out,
        feedback=feedback,
        seconds=seconds,
    )

"""The check `command: …`: a program of the user's decides on the candidate in the sandbox. Exit code 0 passes, and its
standard output is the feedback.

The user's program is trusted: if it runs the candidate as code, it must itself prevent the candidate from ending it
with 0. Must not know how the sandbox confines.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tasks.ports import Heartbeat, Sandbox
from tasks.types import CheckSpec, FileSet, SandboxResult, Verdict
from tasks.validators.arguments import CANDIDATE_CHARS, NOT_STARTED, TOO_LONG, examine_program, job_of, read_program
from tasks.validators.ending import ended
from tasks.validators.text import clipped, printable
from tasks.validators.verdicts import verdict_of

FEEDBACK_CHARS = 1500


class CommandValidator:
    """A program. Score: 1 or 0."""

    kind: ClassVar[str] = "command"
    cost: ClassVar[int] = 5
    takes_runtime: ClassVar[bool] = True

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str | bytes]]:
        """The arguments, program first, and the files among them by their paths below `folder`.

        A `.py` program is run by the sandbox's Python. Raises `InvalidInput`.
        """
        return read_program(self.kind, value, folder)

    def parse_beside(self, value: Any, folder: Path | None, files: FileSet) -> tuple[Any, Mapping[str, str | bytes]]:
        """As `parse`. A file of the job may be no argument unless it is the program, or read-only: its text would be
        the one of the submission."""
        return read_program(self.kind, value, folder, files)

    def examine(self, check: CheckSpec) -> None:
        """Raises `InvalidInput` where the first argument is no program."""
        examine_program(self.kind, check.value)

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Verdict:
        """Raises only `ServiceFault`s and what `heartbeat` raises."""
        if len(candidate) > CANDIDATE_CHARS:
            return verdict_of(check, feedback=TOO_LONG)
        result = sandbox.run(job_of(check.value, candidate, check), heartbeat)
        return verdict_of(check, feedback=_feedback(result, check), seconds=result.seconds)


def _feedback(result: SandboxResult, check: CheckSpec) -> str:
    """Empty where the program accepted; otherwise its output, or how it ended."""
    if result.killed is None and result.exit_code == 0:
        return ""
    output = printable(result.stdout).strip()
    error_output = printable(result.stderr).strip()
    if result.killed is not None or result.exit_code > 128:
        reason = f"The checking program did not finish: {ended(result, check)}."
        return clipped(f"{reason}\n{output}".strip(), FEEDBACK_CHARS)
    if result.exit_code in NOT_STARTED and error_output and not output:
        return clipped(f"The checking program could not be started: {error_output}", FEEDBACK_CHARS)
    if output:
        return clipped(output, FEEDBACK_CHARS)
    return clipped(
        f"The checking program ended with exit code {result.exit_code}. {error_output}", FEEDBACK_CHARS
    ).strip()

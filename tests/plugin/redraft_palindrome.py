"""The check `palindrome: N`: the answer reads the same from both ends and has at least N letters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tasks.errors import InvalidInput
from tasks.ports import Heartbeat, Sandbox
from tasks.types import CheckSpec, Verdict


class PalindromeValidator:
    """Letters only, capitals or not. Score: 1 or 0."""

    kind: ClassVar[str] = "palindrome"
    cost: ClassVar[int] = 1

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str]]:
        """The least number of letters."""
        if not isinstance(value, int) or value < 1:
            raise InvalidInput("palindrome", value, "a whole number of at least 1")
        return value, {}

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Verdict:
        """It only looks at the text, so it needs no sandbox."""
        letters = [letter.lower() for letter in candidate if letter.isalpha()]
        passed = len(letters) >= check.value and letters == letters[::-1]
        feedback = "" if passed else f"This is no palindrome of {check.value} letters."
        return Verdict(
            check=check.name,
            kind=check.kind,
            passed=passed,
            score=float(passed),
            held_out=check.held_out,
            feedback=feedback,
        )

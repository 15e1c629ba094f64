"""The check `judge: FILE` or a sentence: a second agent against a rubric. Reads what a user wrote; `tasks/jury.py`
judges. Must not know any model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tasks.errors import InvalidInput
from tasks.validators.files import read_text

RUBRIC_CHARS = 8_000


class JudgeKind:
    """An opinion, asked for only where every deterministic check passed. Score: passes over votes."""

    kind: ClassVar[str] = "judge"
    cost: ClassVar[int] = 100

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str]]:
        """A file's name and its text, or the sentence itself. Raises `InvalidInput`."""
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput("judge", value, "a sentence, or the path of a rubric, relative to the job file")
        written = value.strip()
        names_a_file = not re.search(r"\s", written) and re.search(r"[/.]\w+$", written)
        rubric = read_text("judge", written, folder) if names_a_file else written
        if len(rubric) > RUBRIC_CHARS or not rubric.strip():
            raise InvalidInput("judge", written, f"a rubric of 1 to {RUBRIC_CHARS:,} characters")
        return (Path(written).name, {Path(written).name: rubric}) if names_a_file else (written, {})

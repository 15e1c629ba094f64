"""The check `judge: …`: parses what the user wrote. It has no `validate`: the judge panel (`tasks.judge_panel`) gives
its verdict by calls to a model, of which no validator knows anything."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tasks.errors import InvalidInput
from tasks.validators.files import read_text

# A judge reads the rubric with every vote; a longer one would be cut in its prompt.
RUBRIC_CHARS = 4_000
RUBRIC_BYTES = 4 * RUBRIC_CHARS
# As the whole value, it means that the problem itself is the rubric.
GOAL = "goal"
_ALLOWED = "the path of a rubric file, a sentence that says what to judge by, or `goal` for the problem itself"


class JudgeCheck:
    """A model's judgement by a rubric, or by the problem itself."""

    kind: ClassVar[str] = "judge"
    cost: ClassVar[int] = 100

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str]]:
        """A rubric file's name and text, or the sentence alone, or an empty text for `goal`. Raises `InvalidInput`."""
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput("judge", value, _ALLOWED)
        text = value.strip()
        if text == GOAL:
            return "", {}
        if _names_a_file(text, Path(text) if folder is None else folder / text):
            name, rubric = read_text("judge", type(value)(text), folder, RUBRIC_BYTES)
            return name, {name: _bounded(rubric, value)}
        if len(text.split()) < 2:
            raise InvalidInput("judge", value, _ALLOWED)
        return _bounded(text, value), {}


def _names_a_file(text: str, path: Path) -> bool:
    """Whether `text` is the path of an existing file, or looks like a path."""
    if "\n" in text or len(text) > 1000:
        return False
    try:
        exists = os.path.lexists(path)
    except (OSError, ValueError):
        exists = False
    return exists or re.fullmatch(r"\S+\.\w{1,8}|\S*/\S+", text) is not None


def _bounded(rubric: str, value: str) -> str:
    if not rubric.strip():
        raise InvalidInput("judge", value, "a rubric that is not empty")
    if len(rubric) > RUBRIC_CHARS:
        raise InvalidInput("judge", value, f"a rubric of at most {RUBRIC_CHARS:,} characters, not {len(rubric):,}")
    return rubric

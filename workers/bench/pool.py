"""A pool: drafts of each task of a set by one model, recorded once, with the verdicts on them.

A file of JSON lines, plain while it is recorded and compressed (`.xz`) when it is complete. The first line is the
header; each other is a draft, or the verdicts on one.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tasks.errors import InvalidInput
from tasks.types import GuardKind, Verdict
from workers.bench import lines

SCHEMA = 1
GREEDY = 0  # the number of the draft at temperature 0; all others are drawn


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PooledSampling(_Row):
    """How the drafts other than the greedy one were sampled."""

    temperature: float
    top_p: float
    top_k: int
    max_tokens: int


class Header(_Row):
    """What was recorded: the set, the model by its name at the engine, the engine, the machine's processor; `prompts`
    is a digest of all prompts, `date` that of the first draft."""

    kind: Literal["pool"] = "pool"
    version: int = SCHEMA
    set: str
    model: str
    engine: str
    processor: str
    sampling: PooledSampling
    prompts: str
    date: str


class PooledVerdict(_Row):
    """What one check said of a draft."""

    check: str
    kind: str
    passed: bool
    score: float
    feedback: str = ""
    seconds: float = 0.0
    isolation: str = ""

    @classmethod
    def of(cls, verdict: Verdict) -> PooledVerdict:
        """A verdict as it is recorded."""
        return cls(
            check=verdict.check,
            kind=verdict.kind,
            passed=verdict.passed,
            score=verdict.score,
            feedback=verdict.feedback,
            seconds=round(verdict.seconds, 3),
            isolation=verdict.isolation,
        )

    def verdict(self, *, held_out: bool) -> Verdict:
        """The verdict again."""
        return Verdict(**self.model_dump(), held_out=held_out)


class PooledDraft(_Row):
    """One answer; `seconds` on the engine are those of a full batch. A degenerate one has no verdicts."""

    kind: Literal["draft"] = "draft"
    task: str
    draft: int
    temperature: float
    seed: int
    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    finish_reason: str
    guard: GuardKind | None = None
    let_through: GuardKind | None = None
    visible: tuple[PooledVerdict, ...] | None = None
    scoring: tuple[PooledVerdict, ...] | None = None

    @property
    def checked(self) -> bool:
        """Whether it has its verdicts, or needs none."""
        return self.guard is not None or self.scoring is not None

    @property
    def right(self) -> bool:
        """Whether it passed every scoring check."""
        return bool(self.scoring) and all(verdict.passed for verdict in self.scoring or ())


class Checked(_Row):
    """The verdicts on a draft that was recorded before. Every check was run, whatever the others said."""

    kind: Literal["checked"] = "checked"
    task: str
    draft: int
    visible: tuple[PooledVerdict, ...]
    scoring: tuple[PooledVerdict, ...]


Row = Annotated[Header | PooledDraft | Checked, Field(discriminator="kind")]
_ROW: TypeAdapter[Header | PooledDraft | Checked] = TypeAdapter(Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """A pool as it is now; drafts by task and number."""

    header: Header
    drafts: Mapping[tuple[str, int], PooledDraft]

    def of(self, task: str) -> Sequence[PooledDraft]:
        """The drafts of a task, the greedy one first."""
        return [draft for (name, _), draft in sorted(self.drafts.items()) if name == task]


def read_pool(path: Path) -> Pool:
    """Raises `InvalidInput` where the file can't be read, or is no pool."""
    header: Header | None = None
    drafts: dict[tuple[str, int], PooledDraft] = {}
    for row in lines.read(path, _ROW):
        match row:
            case Header():
                header = header or row
            case PooledDraft():
                drafts.setdefault((row.task, row.draft), row)
            case Checked() if (found := drafts.get((row.task, row.draft))) is not None:
                drafts[row.task, row.draft] = found.model_copy(update={"visible": row.visible, "scoring": row.scoring})
    if header is None or header.version != SCHEMA:
        raise InvalidInput("pool", str(path), f"a recording whose first line is its header, of version {SCHEMA}")
    return Pool(header=header, drafts=drafts)


def pack(path: Path, target: Path) -> None:
    """Writes the pool compressed, a line a draft in the order of the tasks. Raises `InvalidInput` where a draft has no
    verdicts yet."""
    pool = read_pool(path)
    unchecked = sum(not draft.checked for draft in pool.drafts.values())
    if unchecked:
        raise InvalidInput("pool", str(path), f"{unchecked} drafts of it have no verdicts yet")
    rows = [pool.header, *(draft for _, draft in sorted(pool.drafts.items()))]
    new = target.with_name(f"{target.name}.new")
    new.write_bytes(lzma.compress(b"".join(map(lines.line_of, rows)), preset=9 | lzma.PRESET_EXTREME))
    new.replace(target)

"""What a user asks for: a job as it was submitted, and what a retry or a fork changes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tasks.globs import matches_any
from tasks.kinds import Egress, Lane, Modality

# A day: whoever posed the problem may sleep.
ASK_HOURS = 24.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """One check of a job, self-contained: the contents of its files travel with it.

    `name` is unique in the job (for example `python:hidden.py`); `value` is the validator's own
    JSON value; `files` maps file names to their text, or to their bytes where they are no text; `runtime` names the
    packages its programs may import. `isolation` is `process` where the candidate has a process of its own, `shared`
    where it is loaded into the one that judges it. `folder` says that the job names its files: then `files` holds those
    too while a candidate is checked; `written` names the ones of the candidate, `read_only` those that it builds on.
    """

    name: str
    kind: str
    value: Any
    held_out: bool = False
    timeout_seconds: float = 10.0
    memory_mb: int = 512
    isolation: str = "process"
    runtime: str = ""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    folder: bool = False
    written: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()

    def text(self, name: str) -> str:
        """The text of the file `name`, with invalid UTF-8 replaced."""
        content = self.files[name]
        return content if isinstance(content, str) else content.decode(errors="replace")

    @property
    def texts(self) -> Mapping[str, str]:
        """The text files."""
        return {name: content for name, content in self.files.items() if isinstance(content, str)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a job may spend at most: US dollars, wall hours since its start, iterations, tokens in + out, and of those
    apart the local ones and the cloud's; seconds of the engine, two calls at once counting twice; `evaluations`, the
    candidates that checks run on. With `completion_tokens` no local call is begun once it has written so many, and the
    last is cut to what is left. None is no limit."""

    usd: Decimal = Decimal("2.00")
    hours: float = 4.0
    iterations: int = 30
    tokens: int = 2_000_000
    completion_tokens: int | None = None
    local_tokens: int | None = None
    cloud_tokens: int | None = None
    gpu_seconds: float | None = None
    evaluations: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchBudget:
    """What the jobs of a batch may spend together at most: tokens in + out, US dollars, wall hours since the first call
    of any of them; None where there is no limit."""

    tokens: int | None = None
    usd: Decimal | None = None
    hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file of a job, named by its content: `sha256` in hex, `media_type` such as image/png, its size in bytes.

    `owner` is known once it is stored: a worker reads it as a file of this owner, never of another.
    """

    name: str
    media_type: str
    sha256: str
    bytes: int
    owner: str = ""

    @property
    def modality(self) -> Modality:
        """What a model must take to be sent it; every model takes text."""
        return Modality(self.media_type.partition("/")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSet:
    """The files that a job is about, by their paths below its folder. An answer may change, delete and make what the
    globs `patterns` match and the globs `fixed` don't; `writable` are the texts of those that there are, `read_only`
    of the others that it builds on."""

    patterns: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    writable: Mapping[str, str] = field(default_factory=dict)
    read_only: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def is_writable(self, name: str) -> bool:
        """Whether an answer may write the file of this name."""
        return matches_any(name, self.patterns) and not matches_any(name, self.fixed)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A validated job, ready to be stored. With `memory` False it recalls no lessons and leaves none. `egress` None
    means the deployment's default, which is filled in when the job is stored. `model` is the one that must work on it,
    by any name that its workers know; empty for any. `cut` allows a problem that is longer than a model's context to be
    shown in part. With `files` an answer is a set of files, or edits to them. With `ask` a job that is stuck asks its
    owner a question, and waits `ask_hours` for the answer at most. `temperature` is that of its answers, None for the
    model's own. `start` is an answer of the owner's, which is the first candidate; empty where there is none."""

    title: str
    problem: str
    checks: tuple[CheckSpec, ...]
    budget: Budget = field(default_factory=Budget)
    strategy: str = "correct"
    lane: Lane = Lane.GPU
    egress: Egress | None = None
    priority: int = 0
    tags: tuple[str, ...] = ()
    seed: int = 0
    key: str | None = None
    memory: bool = True
    model: str = ""
    attachments: tuple[Attachment, ...] = ()
    cut: bool = False
    files: FileSet = field(default_factory=FileSet)
    ask: bool = False
    ask_hours: float = ASK_HOURS
    temperature: float | None = None
    start: str = ""

    @property
    def modalities(self) -> frozenset[Modality]:
        """What a model must take to work on it."""
        return frozenset({Modality.TEXT, *(attachment.modality for attachment in self.attachments)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a retry, a fork or an edit changes of a job's specification; None leaves it as it is. Units as in
    `Budget`. `checks` take the place of all that the job has since its edit `checks_edit`, 0 where nobody has changed
    them."""

    usd: Decimal | None = None
    hours: float | None = None
    iterations: int | None = None
    tokens: int | None = None
    strategy: str | None = None
    seed: int | None = None
    priority: int | None = None
    tags: tuple[str, ...] | None = None
    title: str | None = None
    checks: tuple[CheckSpec, ...] | None = None
    checks_edit: int = 0

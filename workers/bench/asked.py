"""What a replay asks of an engine beyond the drafts of its pool, and of checks: answered once and kept in a file beside
the pool, so that a second run is free. What a packaged pool's strategies ask is packaged beside it, compressed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tasks.errors import InvalidInput
from tasks.journal import prompt_hash
from tasks.ports import ChatModel, Checks, Heartbeat
from tasks.types import ChatRequest, CheckSpec, Completion, GuardHit, GuardKind, Message, Verdict
from workers.bench import lines
from workers.bench.pool import PooledVerdict

CHARS_PER_TOKEN = 4


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Answer(_Row):
    kind: Literal["answer"] = "answer"
    digest: str
    text: str
    reasoning: str = ""
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    guard: GuardKind | None = None
    guard_at: int = 0
    let_through: GuardKind | None = None

    @classmethod
    def of(cls, digest: str, completion: Completion) -> _Answer:
        guard, through = completion.guard, completion.let_through
        return cls(
            digest=digest,
            text=completion.text,
            reasoning=completion.reasoning,
            finish_reason=completion.finish_reason,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            seconds=round(completion.seconds, 2),
            guard=guard.kind if guard else None,
            guard_at=guard.at_char if guard else 0,
            let_through=through.kind if through else None,
        )

    def completion(self, model: str) -> Completion:
        return Completion(
            text=self.text,
            reasoning=self.reasoning,
            finish_reason=self.finish_reason,
            model=model,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=0,
            completion_tokens=self.completion_tokens,
            seconds=self.seconds,
            guard=_hit(self.guard, self.guard_at),
            let_through=_hit(self.let_through, 0),
        )


class _Behaviour(_Row):
    kind: Literal["behaviour"] = "behaviour"
    digest: str
    behaviour: str | None = None


class _Verdicts(_Row):
    kind: Literal["verdicts"] = "verdicts"
    digest: str
    verdicts: tuple[PooledVerdict, ...]


_Asked = _Answer | _Behaviour | _Verdicts
_ROW: TypeAdapter[_Asked] = TypeAdapter(Annotated[_Asked, Field(discriminator="kind")])


class Kept:
    """The file, read whole and appended to; what its compressed twin (`.xz`) has is known, too. Safe to share between
    threads: what several ask for at once is asked once. Raises `InvalidInput` where one of them can't be read."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock, self._locks = path, threading.Lock(), dict[str, threading.Lock]()
        files = (path.with_name(f"{path.name}.xz"), path)
        self._rows: dict[str, _Asked] = {row.digest: row for each in files for row in lines.read(each, _ROW)}

    def row(self, digest: str, ask: Callable[[], _Asked]) -> _Asked:
        """What was answered, or what `ask` answers now, which is kept."""
        with self._lock:
            lock = self._locks.setdefault(digest, threading.Lock())
        with lock:
            if digest not in self._rows:
                row = ask()
                with self._lock:
                    lines.append(self._path, row)
                    self._rows[digest] = row
            return self._rows[digest]


class KeptModel:
    """Implements `ChatModel`: answers from `kept`, or by `engine`, whose answer is kept. Without an engine it raises
    `InvalidInput` where the answer is not there.

    An engine is asked with the least of the `limits` that is enough, and the answer is cut to what was granted: else
    each run that has other tokens left would ask anew."""

    def __init__(
        self, kept: Kept, engine: ChatModel | None, *, name: str, context_tokens: int, limits: Collection[int] = ()
    ) -> None:
        self.name, self.context_tokens = name, context_tokens
        self._kept, self._engine, self._limits = kept, engine, limits

    def complete(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
        """As the port has it."""
        most = min((limit for limit in self._limits if limit >= request.max_tokens), default=request.max_tokens)
        asked = dataclasses.replace(request, max_tokens=most)
        digest = f"{self.name} {prompt_hash(asked)}"
        row = self._kept.row(digest, lambda: _Answer.of(digest, self._ask(asked, heartbeat)))
        assert isinstance(row, _Answer)
        return _within(row.completion(self.name), request.max_tokens)

    def _ask(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
        if self._engine is None:
            allowed = "this strategy asks the engine for more than drafts: name one that serves the pool's model"
            raise InvalidInput("--endpoint", "", allowed)
        return self._engine.complete(request, heartbeat)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Estimated: the engine may be away, and what is kept must be found again."""
        return sum(len(message.content) for message in messages) // CHARS_PER_TOKEN


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeptChecks:
    """Implements `Checks` over `checks`; verdicts and behaviours are kept."""

    kept: Kept
    checks: Checks

    def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Heartbeat) -> tuple[Verdict, ...]:
        """As the port has it."""
        digest = _digest(candidate, checks)
        held_out = {check.name: check.held_out for check in checks}

        def ask() -> _Verdicts:
            verdicts = self.checks.validate(candidate, checks, heartbeat)
            return _Verdicts(digest=digest, verdicts=tuple(map(PooledVerdict.of, verdicts)))

        row = self.kept.row(digest, ask)
        assert isinstance(row, _Verdicts)
        return tuple(verdict.verdict(held_out=held_out[verdict.check]) for verdict in row.verdicts)

    def behaviour(
        self, candidate: str, checks: Sequence[CheckSpec], inputs: Sequence[str], heartbeat: Heartbeat
    ) -> str | None:
        """As the port has it. Without inputs nothing is run, and nothing kept."""
        if not inputs:
            return self.checks.behaviour(candidate, checks, inputs, heartbeat)
        digest = _digest(candidate, checks, inputs)

        def ask() -> _Behaviour:
            found = self.checks.behaviour(candidate, checks, inputs, heartbeat)
            return _Behaviour(digest=digest, behaviour=found)

        row = self.kept.row(digest, ask)
        assert isinstance(row, _Behaviour)
        return row.behaviour

    def examine(self, checks: Sequence[CheckSpec]) -> None:
        """As the port has it."""
        self.checks.examine(checks)

    def grade(self, verdicts: Sequence[Verdict], checks: Sequence[CheckSpec]) -> tuple[float, bool]:
        """As the port has it."""
        return self.checks.grade(verdicts, checks)


def _within(completion: Completion, tokens: int) -> Completion:
    """The answer, or as much of it as so many tokens are: a share of its characters."""
    if completion.completion_tokens <= tokens:
        return completion
    text = completion.text[: len(completion.text) * tokens // completion.completion_tokens]
    cut = dataclasses.replace(completion, text=text, completion_tokens=tokens, finish_reason="length")
    return dataclasses.replace(cut, guard=None, let_through=None)


def _digest(candidate: str, checks: Sequence[CheckSpec], inputs: Sequence[str] = ()) -> str:
    """Of the text and of all that decides about it."""
    specs = [[c.name, c.kind, c.value, c.held_out, c.timeout_seconds, c.memory_mb, dict(c.texts)] for c in checks]
    return hashlib.sha256(json.dumps([candidate, specs, *inputs], default=str).encode()).hexdigest()


def _hit(kind: GuardKind | None, at_char: int) -> GuardHit | None:
    return None if kind is None else GuardHit(kind=kind, at_char=at_char, copies=0, period_chars=0)

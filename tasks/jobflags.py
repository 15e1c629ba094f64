"""The command line's flags → fields of a raw job: a flag is one more place where a job is written.

Parses and merges only: whether a value is allowed is decided where raw jobs are checked.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.errors import InvalidInput
from tasks.jobfile import RawJob, parse_yaml
from tasks.jobfolder import Typed

_SINGLE = (
    "title",
    "strategy",
    "lane",
    "egress",
    "priority",
    "seed",
    "key",
    "memory",
    "model",
    "cut",
    "ask",
    "ask_hours",
    "temperature",
    "start",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags of one command line. Single values beat the job file's; checks and tags are added to its own."""

    title: str | None = None
    checks: tuple[Mapping[str, Any], ...] = ()
    budget: Mapping[str, Any] = field(default_factory=dict)
    strategy: str | None = None
    lane: str | None = None
    egress: str | None = None
    priority: int | None = None
    tags: tuple[str, ...] = ()
    seed: int | None = None
    key: str | None = None
    memory: bool | None = None
    cut: bool | None = None
    model: str | None = None
    ask: bool | None = None
    ask_hours: float | None = None
    temperature: float | None = None
    start: Typed | None = None


def with_flags(raw: RawJob, flags: Flags) -> RawJob:
    """The raw job as if `flags` had been written into it."""
    merged = dict(raw.fields)
    merged |= {name: getattr(flags, name) for name in _SINGLE if getattr(flags, name) is not None}
    for name, added in (("checks", flags.checks), ("tags", flags.tags)):
        if added and isinstance(merged.get(name, []), list):  # a value of another type is refused by the field's rule
            merged[name] = [*merged.get(name, []), *added]
    if flags.budget and isinstance(merged.get("budget", {}), Mapping):
        merged["budget"] = {**merged.get("budget", {}), **flags.budget}
    return dataclasses.replace(raw, fields=merged)


def parse_check_flag(text: str, *, held_out: bool, flag: str) -> Mapping[str, Any]:
    """`KIND:VALUE` as a check; a value in braces or brackets is YAML, another is `Typed`. Raises `InvalidInput`."""
    kind, colon, value = text.partition(":")
    if not colon or not value.strip() or not re.fullmatch(r"[a-z][a-z0-9_-]*", kind):
        raise InvalidInput(flag, text, "KIND:VALUE, for example python:tests/hidden.py or answer:42")
    parsed = parse_yaml(value, flag) if value.lstrip()[0] in "[{" else Typed(value)
    return {kind: parsed, "held_out": held_out}


def parse_budget_flag(texts: Sequence[str], flag: str = "--budget") -> Mapping[str, Any]:
    """`usd=2,hours=4`, given once or more, as budget fields. Raises `InvalidInput`."""
    budget: dict[str, Any] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InvalidInput(
                flag,
                part,
                "NAME=NUMBER among usd, hours, iterations, tokens, local_tokens, cloud_tokens, gpu_seconds, "
                "completion_tokens, evaluations: usd=2,hours=4",
            )
        if name in budget:
            raise InvalidInput(flag, part, f"{name} is given once")
        try:
            budget[name] = float(value) if name in ("usd", "hours", "gpu_seconds") else int(value)
        except ValueError:
            budget[name] = value  # refused by the field's rule, in its own words
    return budget

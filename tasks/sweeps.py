"""A sweep: every raw job once for each combination of the values of some fields, and for each of some seeds.

Parses and multiplies only: whether a value is allowed is decided where raw jobs are checked.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.errors import InvalidInput
from tasks.jobfile import RawJob

# What may be swept: what changes how a job is worked on, and not what it asks for.
FIELDS = ("strategy", "temperature", "model", "lane", "memory")
MOST_SEEDS = 1000
# As many as one file of JSON lines is meant for.
MOST_JOBS = 10_000
# Of a tag.
TAG_CHARS = 50
NAME_LENGTH = 6
_NAME_CHARS = "abcdefghjkmnpqrstuvwxyz23456789"
_TAG = re.compile(r"[A-Za-z0-9._:/-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One combination of the fields of a sweep, in their order; `tag` names it."""

    values: Mapping[str, Any]
    tag: str

    def words(self) -> str:
        """As a message says it: `strategy ladder, temperature 0.6`."""
        return ", ".join(f"{name} {_shown(value)}" for name, value in self.values.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The `points` of a sweep, each with so many `seeds`."""

    name: str
    points: tuple[Point, ...]
    seeds: int = 1

    @property
    def tag(self) -> str:
        """Of all its jobs."""
        return f"sweep:{self.name}"


def read_sweep(axes: Sequence[str], seeds: int | None, raw: Sequence[RawJob] = ()) -> Sweep | None:
    """The sweep of `--sweep FIELD=VALUE,VALUE…`, once for each field, and `--seeds N`; None where neither is given. Its
    name is drawn by chance, or follows from the keys of the jobs, where each has one: the same keys give the same jobs.
    Raises `InvalidInput`."""
    if not axes and seeds is None:
        return None
    if seeds is not None and not 1 <= seeds <= MOST_SEEDS:
        raise InvalidInput("--seeds", seeds, f"a whole number from 1 to {MOST_SEEDS:,}")
    values: dict[str, tuple[Any, ...]] = {}
    for text in axes:
        name, several = _axis(text)
        if name in values:
            raise InvalidInput("--sweep", text, f"{name} is given once, with all its values")
        values[name] = several
    name = _name([job.fields.get("key") for job in raw])
    combined = itertools.product(*values.values())
    points = [dict(zip(values, one, strict=True)) for one in combined]
    return Sweep(
        name=name,
        points=tuple(Point(values=one, tag=_tag(name, number, one)) for number, one in enumerate(points, start=1)),
        seeds=seeds or 1,
    )


def expand(raw: Sequence[RawJob], sweep: Sweep) -> tuple[RawJob, ...]:
    """The jobs at each point and seed, all of the first point first. Each has the tags of its sweep and its point; one
    with a key has the point and the seed in it. Where a job does not say otherwise it shares no lessons: what one of
    them taught would help the next, and the comparison would measure that. Raises `InvalidInput`."""
    total = len(raw) * len(sweep.points) * sweep.seeds
    if total > MOST_JOBS:
        raise InvalidInput("--sweep", f"{total:,} jobs", f"at most {MOST_JOBS:,} at once")
    return tuple(_at(job, sweep, point, seed) for point in sweep.points for seed in range(sweep.seeds) for job in raw)


def _axis(text: str) -> tuple[str, tuple[Any, ...]]:
    name, equals, rest = text.partition("=")
    if not equals or name not in FIELDS:
        raise InvalidInput("--sweep", text, f"FIELD=VALUE,VALUE with FIELD among {', '.join(FIELDS)}")
    if "=" in rest:
        raise InvalidInput("--sweep", text, "one field: give --sweep once for each")
    values = tuple(_value(name, part.strip()) for part in rest.split(","))
    if "" in values or len(set(values)) < len(values):
        raise InvalidInput("--sweep", text, "values that differ, with commas between them: strategy=correct,ladder")
    return name, values


def _value(name: str, text: str) -> Any:
    """A value as the job file would hold it; what is none stays text, which the field's rule refuses in its words."""
    if name == "temperature":
        try:
            return float(text)
        except ValueError:
            return text
    return {"true": True, "false": False}.get(text, text) if name == "memory" else text


def _at(job: RawJob, sweep: Sweep, point: Point, seed: int) -> RawJob:
    fields = {"memory": False, **job.fields, **point.values}
    tags, first = fields.get("tags", []), fields.get("seed", 0)
    if isinstance(tags, list):  # a value of another type is refused by the field's rule
        fields["tags"] = [*tags, sweep.tag, *([point.tag] if point.values else [])]
    if isinstance(first, int):
        fields["seed"] = first + seed
    if isinstance(fields.get("key"), str):
        fields["key"] = "/".join((fields["key"], *map(_shown, point.values.values()), str(fields["seed"])))
    where = f"{job.where} at {point.words()}" if point.values else job.where
    return dataclasses.replace(job, where=where, fields=fields)


def _tag(name: str, number: int, values: Mapping[str, Any]) -> str:
    """The values of a point below the sweep's name, or its number where they make no tag."""
    tag = "/".join((name, *map(_shown, values.values())))
    return tag if len(tag) <= TAG_CHARS and _TAG.fullmatch(tag) else f"{name}/{number}"


def _shown(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _name(keys: Sequence[Any]) -> str:
    if not keys or None in keys:
        return "".join(secrets.choice(_NAME_CHARS) for _ in range(NAME_LENGTH))
    digest = hashlib.sha256(repr(keys).encode()).digest()
    return "".join(_NAME_CHARS[byte % len(_NAME_CHARS)] for byte in digest[:NAME_LENGTH])

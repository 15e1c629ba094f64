"""What a user handed in → `JobSpec`, or one clear line. Every field is validated before anything is stored.

Must not know the database, the queue or which validators there are: those come as `Rules`.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.attachments import AttachedFile, read_attachments
from tasks.errors import InvalidInput
from tasks.jobchecks import ValidatorSource, build_checks
from tasks.jobfile import PROBLEM_BYTES, RawJob, read_source, refuse_unstorable
from tasks.types import Budget, Changes, Egress, JobSpec, Lane

TITLE_CHARS = 120
# The files of all jobs of one submission: they are held in memory and stored in one transaction.
CONTENTS_BYTES = 256_000_000
# The two lanes a user may ask for; `check` and `cloud` are steps of a job, not places to begin one.
LANES = (Lane.GPU, Lane.FAST)

_ALLOWED = {
    "title": "one line of text, 1 to 200 characters",
    "checks": "a list of checks, each `KIND: VALUE`",
    "budget": "fields among usd, hours, iterations, tokens",
    "budget.usd": "a number more than 0 and at most 100,000 (`egress: never` spends nothing in the cloud)",
    "budget.hours": "a number more than 0 and at most 8,760",
    "budget.iterations": "a whole number from 1 to 10,000",
    "budget.tokens": "a whole number from 1 to 1,000,000,000,000",
    "strategy": "the name of a strategy",
    "lane": f"one of {', '.join(LANES)}",
    "egress": f"one of {', '.join(Egress)}",
    "priority": "a whole number from -100 to 100",
    "tags": "a list of at most 20 tags",
    "tags[]": "letters, digits and . _ : / -, beginning with a letter or digit, at most 50 characters; quote numbers",
    "seed": "a whole number from 0 to 2,147,483,647",
    "memory": "true or false",
    "key": "text of 1 to 200 characters",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What this deployment allows: kinds of checks, names of strategies, and the egress of a job that names none where
    this installation says so."""

    validators: ValidatorSource
    strategies: tuple[str, ...]
    egress: Egress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What was said on the command line. Single values beat the job file's; checks and tags are added to its."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedIn:
    """Validated jobs, where each was written, and the contents of their attachments by hash."""

    specs: tuple[JobSpec, ...]
    places: tuple[str, ...]
    contents: Mapping[str, bytes]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _BudgetFields(_Strict):
    usd: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    hours: Annotated[float, Field(gt=0, le=8_760, allow_inf_nan=False)] | None = None
    iterations: Annotated[int, Field(ge=1, le=10_000)] | None = None
    tokens: Annotated[int, Field(ge=1, le=10**12)] | None = None


class _JobFields(_Strict):
    title: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    checks: list[Any] = []
    budget: _BudgetFields = _BudgetFields()
    strategy: str = "correct"
    lane: str = Lane.GPU
    egress: str | None = None
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    tags: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,49}$")]], Field(max_length=20)
    ] = []
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    key: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    memory: bool = True


def read_jobs(
    files: Sequence[str],
    flags: Flags,
    rules: Rules,
    stdin: Callable[[], bytes],
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> HandedIn:
    """Every job of the FILE arguments, or none. `stdin` reads standard input whole; `tell` hears how many jobs of how
    many are validated. Raises `InvalidInput`."""
    if files.count("-") > 1:
        raise InvalidInput("FILE", "-", "standard input can be read once")
    raw = [job for name in files for job in read_source(name, stdin)]
    if flags.key is not None and len(raw) > 1:
        raise InvalidInput("--key", flags.key, f"a key names one job, and {len(raw)} were given; write it into each")
    specs: list[JobSpec] = []
    contents: dict[str, bytes] = {}
    for number, job in enumerate(raw, start=1):
        spec, attached = build_spec(job, flags, rules)
        specs.append(spec)
        contents |= {file.attachment.sha256: file.content for file in attached}
        if attached and sum(map(len, contents.values())) > CONTENTS_BYTES:
            raise InvalidInput(
                f"{job.where}: problem",
                attached[-1].attachment.name,
                f"at most {CONTENTS_BYTES:,} bytes of files at once",
            )
        tell(number, len(raw))
    return HandedIn(specs=tuple(specs), places=tuple(job.where for job in raw), contents=contents)


def build_spec(raw: RawJob, flags: Flags, rules: Rules) -> tuple[JobSpec, tuple[AttachedFile, ...]]:
    """One job from its fields and the flags, with the files that it links to. Raises `InvalidInput` whose field
    begins with `raw.where`."""
    try:
        spec = _build(raw, flags, rules)
        files = read_attachments(spec.problem, raw.folder)
        return dataclasses.replace(spec, attachments=tuple(file.attachment for file in files)), files
    except InvalidInput as error:
        raise InvalidInput(f"{raw.where}: {error.field}", error.value, error.allowed) from None


def parse_budget_flag(texts: Sequence[str]) -> Mapping[str, Any]:
    """`usd=2,hours=4`, given once or more, as budget fields. Raises `InvalidInput`."""
    found: dict[str, Any] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InvalidInput("--budget", part, "NAME=NUMBER among usd, hours, iterations, tokens: usd=2,hours=4")
        if name in found:
            raise InvalidInput("--budget", part, f"{name} is given once")
        try:
            found[name] = int(value) if name in ("iterations", "tokens") else float(value)
        except ValueError:
            found[name] = value  # refused with the field's own words
    return found


def read_changes(
    budget: Sequence[str], *, strategy: str | None = None, seed: int | None = None, strategies: Sequence[str] = ()
) -> Changes:
    """What was said of a retry or a fork, by the rules of a submission. Raises `InvalidInput`."""
    fields = _validate({"budget": parse_budget_flag(budget), **({} if seed is None else {"seed": seed})})
    given = fields.budget
    return Changes(
        usd=None if given.usd is None else Decimal(str(given.usd)),
        hours=given.hours,
        iterations=given.iterations,
        tokens=given.tokens,
        strategy=None if strategy is None else _one_of("strategy", strategy, strategies),
        seed=seed,
    )


def _build(raw: RawJob, flags: Flags, rules: Rules) -> JobSpec:
    merged = _merge(raw.fields, flags)
    refuse_unstorable({**merged, "problem": raw.problem})
    fields = _validate(merged)
    problem = _problem(raw)
    egress = fields.egress if fields.egress is not None else rules.egress
    budget = {name: value for name, value in fields.budget.model_dump().items() if value is not None}
    if "usd" in budget:
        budget["usd"] = Decimal(str(budget["usd"]))  # the digits that were written, not the binary fraction
    return JobSpec(
        title=fields.title or _title(problem),
        problem=problem,
        checks=build_checks(fields.checks, raw.folder, rules.validators),
        budget=Budget(**budget),
        strategy=_one_of("strategy", fields.strategy, rules.strategies),
        lane=Lane(_one_of("lane", fields.lane, LANES)),
        egress=None if egress is None else Egress(_one_of("egress", egress, tuple(Egress))),
        priority=fields.priority,
        tags=tuple(dict.fromkeys(fields.tags)),
        seed=fields.seed,
        key=fields.key,
        memory=fields.memory,
    )


def _merge(fields: Mapping[str, Any], flags: Flags) -> dict[str, Any]:
    merged = dict(fields)
    for name in ("title", "strategy", "lane", "egress", "priority", "seed", "key", "memory"):
        if getattr(flags, name) is not None:
            merged[name] = getattr(flags, name)
    for name, added in (("checks", flags.checks), ("tags", flags.tags)):
        if added and isinstance(merged.get(name, []), list):  # another type is refused by its own rule
            merged[name] = [*merged.get(name, []), *added]
    if flags.budget and isinstance(merged.get("budget", {}), Mapping):
        merged["budget"] = {**merged.get("budget", {}), **flags.budget}
    return merged


def _validate(fields: Mapping[str, Any]) -> _JobFields:
    try:
        return _JobFields.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        path = first["loc"]
        if first["type"] == "extra_forbidden":
            known = _BudgetFields.model_fields if path[0] == "budget" else _JobFields.model_fields
            raise _unknown(".".join(str(part) for part in path), str(path[-1]), first["input"], tuple(known)) from None
        shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        rule = "".join("[]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        raise InvalidInput(shown, first["input"], _ALLOWED.get(rule, first["msg"])) from None


def _unknown(where: str, name: str, value: Any, known: Sequence[str]) -> InvalidInput:
    """An unknown field, with the nearest known one where there is any."""
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    shown = where if re.fullmatch(r"[\w.\[\] -]{1,80}", where) else repr(where)[:80]
    return InvalidInput(shown, value, f"there is no such field; {meant}known are {', '.join(known)}")


def _one_of(name: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1)
        meant = f", did you mean {str(near[0])!r}?" if near else ""
        raise InvalidInput(name, value, f"one of {', '.join(known)}{meant}")
    return value


def _problem(raw: RawJob) -> str:
    problem = raw.problem.strip()
    if not problem:
        raise InvalidInput("problem", "", "the problem in words is missing")
    size = len(problem.encode())
    if size > PROBLEM_BYTES:
        raise InvalidInput("problem", f"{size:,} bytes", f"at most {PROBLEM_BYTES:,} bytes")
    return problem


def _title(problem: str) -> str:
    """The first heading, or the first line."""
    lines = [line.strip() for line in problem.split("\n") if line.strip()]
    heading = next((line for line in lines if re.match(r"#{1,6}\s+\S", line)), lines[0])
    clean = re.sub(r"[\x00-\x1f\x7f]", " ", re.sub(r"^#{1,6}\s+|\s+#+$", "", heading)).strip() or "untitled"
    return clean if len(clean) <= TITLE_CHARS else clean[: TITLE_CHARS - 1] + "…"

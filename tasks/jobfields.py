"""The fields of a raw job, checked: types, bounds and names, each refused with one line that says what is allowed.

Must not know the database, the queue or which strategies there are: names come as arguments.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import InvalidInput
from tasks.faults import Faults
from tasks.jobflags import parse_budget_flag
from tasks.types import BatchBudget, Budget, Changes, Egress, Lane

# The two lanes that a job may begin on; `check` and `cloud` are lanes of later steps.
LANES = (Lane.GPU, Lane.FAST)
# `hint` would send nothing, for hints from the cloud are not built: a stored job may still have it.
EGRESS = tuple(Egress)
# Fields of a budget that are set at submission alone.
ONCE = ("completion_tokens", "local_tokens", "cloud_tokens", "gpu_seconds", "evaluations")
# Stands for the field where its name itself is not allowed.
NAMELESS = "fields"
# No pin: a flag that overrides the job file's.
ANY_MODEL = "any"

_ALLOWED = {
    "title": "one line of text, 1 to 200 characters",
    "checks": "a list of checks, each `KIND: VALUE`",
    "budget": "fields among usd, hours, iterations, tokens, local_tokens, cloud_tokens, gpu_seconds, "
    "completion_tokens, evaluations",
    "budget.usd": "a number more than 0 and at most 100,000 (`egress: never` spends nothing in the cloud)",
    "budget.hours": "a number more than 0 and at most 8,760",
    "budget.iterations": "a whole number from 1 to 10,000",
    "budget.tokens": "a whole number from 1 to 1,000,000,000,000",
    "budget.completion_tokens": "a whole number from 1 to 1,000,000,000,000",
    "budget.local_tokens": "a whole number from 1 to 1,000,000,000,000",
    "budget.cloud_tokens": "a whole number from 1 to 1,000,000,000,000",
    "budget.evaluations": "a whole number from 1 to 1,000,000,000,000",
    "budget.gpu_seconds": "a number more than 0 and at most 31,536,000",
    "strategy": "the name of a strategy",
    "lane": f"one of {', '.join(LANES)}",
    "egress": f"one of {', '.join(EGRESS)}",
    "priority": "a whole number from -100 to 100",
    "tags": "a list of at most 20 tags",
    "tags[]": "letters, digits and . _ : / -, beginning with a letter or digit, at most 50 characters; quote numbers",
    "seed": "a whole number from 0 to 2,147,483,647",
    "memory": "true or false",
    "cut": "true or false",
    "ask": "true or false",
    "ask_hours": "a number more than 0 and at most 8,760",
    "temperature": "a number from 0 to 2",
    "start": "the name of a file with the answer to begin with",
    "model": "the name of a model as workers serve it: 1 to 200 letters, digits and . _ : / -, or `any`",
    "files": "a list of 1 to 50 globs such as src/**",
    "files[]": "a glob such as src/**, 1 to 200 characters",
    "read_only": "a list of at most 50 globs such as include/**",
    "read_only[]": "a glob such as include/**, 1 to 200 characters",
    "key": "text of 1 to 200 characters",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class BudgetFields(_Strict):
    """A budget as it is written; a field left out is None."""

    usd: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    hours: Annotated[float, Field(gt=0, le=8_760, allow_inf_nan=False)] | None = None
    iterations: Annotated[int, Field(ge=1, le=10_000)] | None = None
    tokens: Annotated[int, Field(ge=1, le=10**12)] | None = None
    completion_tokens: Annotated[int, Field(ge=1, le=10**12)] | None = None
    local_tokens: Annotated[int, Field(ge=1, le=10**12)] | None = None
    cloud_tokens: Annotated[int, Field(ge=1, le=10**12)] | None = None
    gpu_seconds: Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)] | None = None
    evaluations: Annotated[int, Field(ge=1, le=10**12)] | None = None

    def amounts(self) -> dict[str, Any]:
        """The fields that are written; dollars with the digits that were written, not their binary fraction."""
        amounts = {name: value for name, value in self.model_dump().items() if value is not None}
        return amounts | ({"usd": Decimal(str(amounts["usd"]))} if "usd" in amounts else {})


class JobFields(_Strict):
    """A job's fields but the problem; types and bounds hold, names may still be unknown."""

    title: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    checks: list[Any] = []
    budget: BudgetFields = BudgetFields()
    strategy: str = "correct"
    lane: str = Lane.GPU
    egress: str | None = None
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    tags: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,49}$")]], Field(max_length=20)
    ] = []
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    key: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = None
    files: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=50)] = []
    read_only: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=50)] = []
    memory: bool = True
    cut: bool = False
    ask: bool = False
    ask_hours: Annotated[float, Field(gt=0, le=8_760, allow_inf_nan=False)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    start: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$")] = ANY_MODEL


def read_fields(written: Mapping[str, Any], strategies: Sequence[str]) -> tuple[JobFields, tuple[InvalidInput, ...]]:
    """The fields as far as they are allowed, with the default in the place of each other, and what is not allowed."""
    faults = list(_unstorable(written))
    fields = _without(written, faults)
    faults += _unfit(fields)
    fields = _without(fields, faults)
    names = {
        "strategy": (JobFields.model_fields["strategy"].default, strategies),
        "lane": (Lane.GPU, LANES),
        "egress": (None, EGRESS),
    }
    for name, (default, known) in names.items():
        value = fields.get(name, default)
        if value is not None and value not in known and not _at_fault(name, faults):
            faults.append(_unknown_name(name, value, known))
    allowed = {name: value for name, value in _without(fields, faults).items() if name in JobFields.model_fields}
    return JobFields.model_validate(allowed), tuple(faults)


def check_fields(fields: Mapping[str, Any]) -> JobFields:
    """The fields with their types and bounds. Raises `InvalidInput` for those that are not allowed."""
    faults = Faults()
    faults.add(*_unfit(fields))
    faults.refuse()
    return JobFields.model_validate(fields)


def _unfit(fields: Mapping[str, Any]) -> Iterator[InvalidInput]:
    """What has another type, or lies outside its bounds, or has a name that no field has."""
    try:
        JobFields.model_validate(fields)
    except ValidationError as error:
        for fault in error.errors():
            path = fault["loc"]
            if fault["type"] == "extra_forbidden":
                known = BudgetFields.model_fields if path[0] == "budget" else JobFields.model_fields
                yield _unknown(".".join(str(part) for part in path), str(path[-1]), fault["input"], tuple(known))
                continue
            shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
            rule = "".join("[]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
            yield InvalidInput(shown, fault["input"], _ALLOWED.get(rule, fault["msg"]))


def _without(fields: Mapping[str, Any], faults: Sequence[InvalidInput]) -> Mapping[str, Any]:
    """The fields but those at fault, in themselves or in a part."""
    return {name: value for name, value in fields.items() if not _at_fault(name, faults)}


def _at_fault(name: str, faults: Sequence[InvalidInput]) -> bool:
    return any(name_of(fault) == name or (fault.field == NAMELESS and fault.value == name) for fault in faults)


def name_of(fault: InvalidInput) -> str:
    """The field of a job that a fault is of, in itself or in a part."""
    return re.split(r"[.\[]", fault.field, maxsplit=1)[0]


def check_name(field: str, value: str, known: Sequence[str]) -> str:
    """`value` where it is known. Raises `InvalidInput`, with the nearest known name where there is one."""
    if value not in known:
        raise _unknown_name(field, value, known)
    return value


def _unknown_name(field: str, value: str, known: Sequence[str]) -> InvalidInput:
    near = difflib.get_close_matches(value, known, n=1)
    meant = f", did you mean {str(near[0])!r}?" if near else ""
    return InvalidInput(field, value, f"one of {', '.join(known)}{meant}")


def check_egress(value: str) -> Egress:
    """The egress of that name. Raises `InvalidInput`."""
    return Egress(check_name("egress", value, EGRESS))


def check_budget(fields: BudgetFields) -> Budget:
    """The budget, with the default for each field left out."""
    return Budget(**fields.amounts())


def read_batch_budget(texts: Sequence[str]) -> BatchBudget | None:
    """The budget of a batch, as `--pool-budget` was given it; None where it was not. Raises `InvalidInput`."""
    if not texts:
        return None
    flag = "--pool-budget"
    named = parse_budget_flag(texts, flag)
    for unit in ("iterations", *ONCE):
        if unit in named:
            allowed = f"fields among tokens, usd, hours; {unit} are each job's own, in --budget"
            raise InvalidInput(flag, f"{unit}={named[unit]}", allowed)
    faults = Faults()
    for fault in _unfit({"budget": named}):
        faults.add(InvalidInput(fault.field.replace("budget", flag, 1), fault.value, fault.allowed))
    faults.refuse()
    return BatchBudget(**check_fields({"budget": named}).budget.amounts())


def read_changes(
    budget: Sequence[str],
    *,
    strategy: str | None = None,
    seed: int | None = None,
    strategies: Sequence[str] = (),
    priority: int | None = None,
    tags: Sequence[str] | None = None,
    title: str | None = None,
) -> Changes:
    """The changes of a retry, a fork or an edit, under the rules of a submission. Raises `InvalidInput`."""
    named = {"seed": seed, "priority": priority, "tags": None if tags is None else list(tags), "title": title}
    raw = {name: value for name, value in named.items() if value is not None}
    fields = check_fields({"budget": parse_budget_flag(budget), **raw})
    for unit in ONCE:
        if (given := getattr(fields.budget, unit)) is not None:
            raise InvalidInput(f"budget.{unit}", given, "set once, when a job is submitted")
    return Changes(
        **fields.budget.amounts(),
        strategy=None if strategy is None else check_name("strategy", strategy, strategies),
        seed=seed,
        priority=priority,
        tags=None if tags is None else tuple(dict.fromkeys(fields.tags)),
        title=title,
    )


def refuse_unstorable(fields: Mapping[str, Any]) -> None:
    """Raises `InvalidInput` for what YAML, JSON or a command line can hold and Postgres cannot."""
    faults = Faults()
    faults.add(*_unstorable(fields))
    faults.refuse()


def _unstorable(fields: Mapping[str, Any]) -> Iterator[InvalidInput]:
    for path, value in _leaves(fields, NAMELESS):
        if not isinstance(value, str | int | float | bool | None):
            yield InvalidInput(path, value, "text, a number, true, false, a list or fields")
        if isinstance(value, str) and ("\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
            yield InvalidInput(path, value, "text without NUL and lone surrogates")


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield path, name
            yield from _leaves(inner, name if path == NAMELESS else f"{path}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{number}]")
    else:
        yield path, value


def _unknown(where: str, name: str, value: Any, known: Sequence[str]) -> InvalidInput:
    """An unknown field, with the nearest known one where there is any."""
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    shown = where if re.fullmatch(r"[\w.\[\] -]{1,80}", where) else repr(where)[:80]
    return InvalidInput(shown, value, f"there is no such field; {meant}known are {', '.join(known)}")

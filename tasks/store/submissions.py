"""A submission: jobs and their attachments, in one transaction. Row-level security makes them the login's own.

Must not know how a job file is written, nor what becomes of a job afterwards.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, text
from sqlalchemy.dialects.postgresql import insert as upsert

from tasks.errors import InvalidInput
from tasks.store import attachments, batches, codec, contexts, fleet
from tasks.store.session import Database, explained
from tasks.store.summaries import Submitted
from tasks.store.tables import jobs
from tasks.types import BatchBudget, Egress, JobSpec, Lane
from tasks.window import Measure

# Rows a statement: 25 parameters each stay far below the protocol's 65,535.
CHUNK = 1000


def submit_jobs(
    database: Database,
    specs: Sequence[JobSpec],
    contents: Mapping[str, bytes] | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
    *,
    egress: Egress | None = None,
    measure: Measure | None = None,
    pool: BatchBudget | None = None,
) -> tuple[Submitted, ...]:
    """Stores all of `specs` with their attachments in one transaction, or none; in their order.

    `contents` holds by hash what attachments hold that are not stored yet; `tell` hears how many of how many are
    sent; `measure` counts the tokens of problems near the limit of a context, which are estimated without it. What may
    leave is decided and stored here: `never` where neither `egress`, which this installation may say, nor a worker that
    serves the cloud now opens the deployment. With a `pool` those that are new are one batch, which shares this budget
    beside the budget of each. A spec whose key this owner has used before gives that job back. Raises
    `InvalidInput` where it was submitted with other content, where no model that is served takes a new job's
    attachments, or where its problem is longer than the largest context served on its lane and it may not be cut;
    `DatabaseUnavailable`.
    """
    done: list[Submitted] = []
    with database.begin() as connection, explained():
        decide = _egress(egress, served=fleet.served(connection, Lane.CLOUD))
        batch = batches.create(connection, pool) if pool is not None and _any_new(connection, specs) else None
        attachments.keep(connection, specs, contents or {})
        for keyed, group in itertools.groupby(specs, key=lambda spec: spec.key is not None):
            for chunk in _batched(group):
                done += (_insert_keyed if keyed else _insert)(connection, chunk, decide, batch)
                tell(len(done), len(specs))
        new = [spec for spec, one in zip(specs, done, strict=True) if one.new]
        attachments.require_served(connection, new)
        notes = contexts.check_windows(connection, new, measure)
    return _with_notes(done, notes)


def _with_notes(done: Sequence[Submitted], notes: Mapping[int, str]) -> tuple[Submitted, ...]:
    """The same, with the notes on those that are new, which are counted apart."""
    places = itertools.count()
    return tuple(dataclasses.replace(one, note=notes.get(next(places), "")) if one.new else one for one in done)


_LATER = (
    "cut",
    "model",
    "budget_completion_tokens",
    "files",
    "ask",
    "budget_local_tokens",
    "budget_cloud_tokens",
    "budget_gpu_seconds",
    "temperature",
    "start",
    "budget_evaluations",
)


def spec_hash(spec: JobSpec) -> str:
    """What two submissions under one key must have in common: everything but the key. Of the egress it holds what the
    job names; of `_LATER` columns only what is set, so that a key used before jobs had them gives its job back."""
    columns = {name: value for name, value in _columns(spec).items() if name not in _LATER or _is_set(value)}
    if not spec.ask:
        del columns["ask_hours"]
    return hashlib.sha256(json.dumps(columns, sort_keys=True, default=str).encode()).hexdigest()


def _is_set(value: Any) -> bool:
    """Whether a column of `_LATER` differs from what jobs had before it; a temperature of 0 does."""
    return value is not None and value is not False and value not in ("", {})


def _columns(spec: JobSpec) -> dict[str, Any]:
    return {
        "title": spec.title,
        "problem": spec.problem,
        "checks": codec.checks_to_json(spec.checks),
        "strategy": spec.strategy,
        "lane": str(spec.lane),
        "egress": str(spec.egress or ""),
        "priority": spec.priority,
        "tags": list(spec.tags),
        "seed": spec.seed,
        "budget_usd": spec.budget.usd,
        "budget_hours": spec.budget.hours,
        "budget_iterations": spec.budget.iterations,
        "budget_tokens": spec.budget.tokens,
        "budget_completion_tokens": spec.budget.completion_tokens,
        "budget_local_tokens": spec.budget.local_tokens,
        "budget_cloud_tokens": spec.budget.cloud_tokens,
        "budget_gpu_seconds": spec.budget.gpu_seconds,
        "budget_evaluations": spec.budget.evaluations,
        "memory": spec.memory,
        "model": spec.model,
        "attachments": [codec.attachment_to_json(attachment) for attachment in spec.attachments],
        "cut": spec.cut,
        "files": codec.file_set_to_json(spec.files),
        "ask": spec.ask,
        "ask_hours": spec.ask_hours,
        "temperature": spec.temperature,
        "start": spec.start,
    }


Decide = Callable[[JobSpec], Egress]


def _egress(default: Egress | None, *, served: bool) -> Decide:
    """What may leave of a job: what it names, else the installation's `default`, else all where the cloud is
    `served`; and nothing where there is no cloud, for what is stored must hold when one is configured later."""
    most = default or Egress.FULL
    default = default or (Egress.FULL if served else Egress.NEVER)
    opened = served or default is not Egress.NEVER
    if not opened:
        return lambda spec: Egress.NEVER
    return lambda spec: min(spec.egress or default, most, key=tuple(Egress).index)


def egress_of(database: Database, specs: Sequence[JobSpec], egress: Egress | None = None) -> tuple[Egress, ...]:
    """What `submit_jobs` would store as the egress of each now. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        decide = _egress(egress, served=fleet.served(connection, Lane.CLOUD))
    return tuple(map(decide, specs))


def _any_new(connection: Connection, specs: Sequence[JobSpec]) -> bool:
    """Whether any of the jobs is not stored yet."""
    keys = {spec.key for spec in specs}
    if None in keys:
        return True
    known = text("SELECT count(*) FROM jobs WHERE owner = SESSION_USER AND key = ANY(:keys)")
    return bool(connection.execute(known, {"keys": list(keys)}).scalar_one() < len(keys))


def _row(spec: JobSpec, decide: Decide, batch: int | None) -> dict[str, Any]:
    own = {"egress": str(decide(spec)), "key": spec.key, "spec_hash": spec_hash(spec), "batch_id": batch}
    return {**_columns(spec), **own}


def _insert(connection: Connection, specs: Sequence[JobSpec], decide: Decide, batch: int | None) -> list[Submitted]:
    statement = insert(jobs).returning(jobs.c.id, sort_by_parameter_order=True)
    numbers = connection.execute(statement, [_row(spec, decide, batch) for spec in specs]).scalars()
    return [
        Submitted(job=job, new=True, egress=decide(spec), batch=batch) for job, spec in zip(numbers, specs, strict=True)
    ]


def _insert_keyed(
    connection: Connection, specs: Sequence[JobSpec], decide: Decide, batch: int | None
) -> list[Submitted]:
    statement = upsert(jobs).on_conflict_do_nothing(constraint="jobs_owner_key").returning(jobs.c.id)
    new = set(connection.execute(statement, [_row(spec, decide, batch) for spec in specs]).scalars())
    known = text(
        "SELECT id, key, spec_hash, egress, batch_id FROM jobs WHERE owner = SESSION_USER AND key = ANY(:keys)"
    )
    stored = {row.key: row for row in connection.execute(known, {"keys": [spec.key for spec in specs]})}
    done = []
    for spec in specs:
        row = stored[spec.key]
        if row.spec_hash != spec_hash(spec) and not _same_but_for_egress(row, spec):
            raise InvalidInput("key", spec.key, f"it names job {row.id}, whose content is another; take a new key")
        done.append(Submitted(job=row.id, new=row.id in new, egress=Egress(row.egress), batch=row.batch_id))
        new.discard(row.id)  # the second of two lines with one key is not new
    return done


def _same_but_for_egress(row: Row[Any], spec: JobSpec) -> bool:
    """Whether a job that names no egress is the stored one, which was stored when every job had one of its own."""
    return spec.egress is None and any(
        row.spec_hash == spec_hash(dataclasses.replace(spec, egress=egress)) for egress in Egress
    )


def _batched(specs: Iterator[JobSpec]) -> Iterator[tuple[JobSpec, ...]]:
    """`itertools.batched`, which Python 3.11 lacks."""
    while chunk := tuple(itertools.islice(specs, CHUNK)):
        yield chunk

"""Redraft's side of the comparison: its own claim, journal and stack, used as its workers and its client use them."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from measure import CLAIMERS, drain, main

from tasks.client import Client
from tasks.heartbeat import SilentHeartbeat
from tasks.journal import JournalledModel
from tasks.llm.scripted import ScriptedModel
from tasks.sampling import Sampling
from tasks.store import dispatch
from tasks.store.ledger import PostgresLedger
from tasks.store.migrate import upgrade
from tasks.store.roles import ensure_login
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.turn import Turn
from tasks.types import Budget, CallKey, CheckSpec, Draft, Egress, JobSpec, Lane, Message, Operator
from tests.standin.saying import serving
from workers.home import Home
from workers.local import stack

NEVER = CheckSpec(name="answer:never", kind="answer", value={"exact": "no model writes this"})


def specs(count: int) -> list[JobSpec]:
    """`count` jobs of one iteration each."""
    budget = Budget(iterations=1, tokens=100_000_000)
    return [
        JobSpec(
            title="bench",
            problem=f"Problem {number}.",
            checks=(NEVER,),
            budget=budget,
            strategy="single",
            egress=Egress.NEVER,
            memory=False,
        )
        for number in range(count)
    ]


def databases(url: str) -> tuple[Database, Database]:
    """The schema's newest version, and its submitter and its fleet."""
    upgrade(url)
    databases = []
    for name, role in (("bench_user", "redraft_submitter"), ("bench_fleet", "redraft_worker")):
        ensure_login(url, name, "bench", role)
        head, _, tail = url.rpartition("@")
        databases.append(Database(f"{head.split('://')[0]}://{name}:bench@{tail}", pool=CLAIMERS))
    return databases[0], databases[1]


def claims(url: str, count: int) -> dict[str, object]:
    """`count` queued jobs, claimed one a transaction by workers that do nothing else."""
    user, fleet = databases(url)
    begun = time.perf_counter()
    submit_jobs(user, specs(count))
    submitted = time.perf_counter() - begun
    rules = dispatch.ClaimRules(lease_seconds=600)

    def claimer(worker: str):
        return lambda: dispatch.claim(fleet, [Lane.GPU], worker, "bench", rules) is not None

    return {**drain([claimer(f"bench-{number}") for number in range(CLAIMERS)]), "enqueue": submitted}


def steps(url: str, count: int) -> dict[str, object]:
    """`count` journalled calls of one job, one after another, to a model that answers at once."""
    user, fleet = databases(url)
    submit_jobs(user, specs(1))
    held = dispatch.claim(fleet, [Lane.GPU], "bench", "bench", dispatch.ClaimRules(lease_seconds=600))
    assert held is not None
    ledger = PostgresLedger(fleet, fault_cap=8)
    ledger.begin(held, 1, Draft(slots=count), ())
    model = JournalledModel(ledger=ledger, model=ScriptedModel(lambda _: "Done."), sampling=Sampling())
    turn = Turn(claim=held, job=ledger.load(held), lanes=frozenset({Lane.GPU}), heartbeat=SilentHeartbeat())
    messages = (Message(role="user", content="A step."),)
    each = []
    for slot in range(count):
        key = CallKey(iteration=1, operator=Operator.DRAFT, slot=slot, attempt=1)
        begun = time.perf_counter()
        model.ask(turn, key, lambda _: messages)
        each.append(time.perf_counter() - begun)
    return {"seconds": sum(each), "each": each}


def latency(url: str, count: int) -> dict[str, object]:
    """From the call that submits to the claim by an idle worker, through relay, Valkey and Celery, by one clock.

    It runs a stack of its own: `url` is not used.
    """
    home = Home(root=Path(tempfile.mkdtemp(prefix="redraft-peers-")))
    with serving(lambda _: "ANSWER: 41") as endpoint:
        running = stack.start(
            home, {"REDRAFT_ENDPOINT": endpoint}, lambda line: print(line, file=sys.stderr), attached=True
        )
        try:
            with Client(running.user_url) as client:
                _wait(client, 1)
                each = [_wait(client, 1) for _ in range(count)]
        finally:
            stack.stop(home)
            shutil.rmtree(home.postgres_folder(), ignore_errors=True)
            shutil.rmtree(home.root, ignore_errors=True)
    return {"seconds": sum(each), "each": each}


def _wait(client: Client, count: int) -> float:
    begun = time.time()
    summary = client.wait(client.submit(specs(count)))[0]
    assert summary.started_at is not None
    return summary.started_at.timestamp() - begun


if __name__ == "__main__":
    main({"claims": claims, "steps": steps, "latency": latency})

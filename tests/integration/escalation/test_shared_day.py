"""Real workers of lane `cloud` that share the deployment's dollars of a day: by the server's own count they never spend
more. Real Celery, Valkey and Postgres."""

from __future__ import annotations

import contextlib
import os
import time
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.prices import Prices
from tasks.store import daily
from tasks.store.fleet import live_workers
from tasks.store.invariants import breaches
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.types import Budget, Usage
from tests.integration.escalation.cases import loop, put
from tests.integration.test_worker import process
from tests.loops import ENGINE_AND_CHECKS, take
from tests.standin.responses import Rule, StandIn, serving

pytestmark = pytest.mark.integration
DAY = Decimal("0.50")
# USD for a million tokens: an answer of a few hundred words costs almost a tenth of a dollar.
PRICES = Prices(prompt=Decimal(10), cached=Decimal(1), completion=Decimal(100))
LONG = "\n".join(f"Step {n}: look at the digits of {n * n + 17}, then at {n**3 % 1009}." for n in range(1, 71))
# What a request reserves: 1,024 tokens out, and the prompt.
MOST = Decimal("0.15")
SLOTS = 5


def charged(standin: StandIn) -> Decimal:
    """What the server would bill."""
    return sum((_price(made.snapshot()["usage"]) for made in standin.made.values()), start=Decimal(0))


def _price(usage: dict[str, int]) -> Decimal:
    cached = usage["input_tokens_details"]["cached_tokens"]  # type: ignore[index]
    used = Usage(prompt_tokens=usage["input_tokens"], cached_tokens=cached, completion_tokens=usage["output_tokens"])
    return PRICES.cost(used)


def test_ten_jobs_at_once_never_spend_more_than_the_day_allows_by_the_server_s_count(
    user: Database, fleet: Database, admin_url: str, fleet_url: str, valkey_url: str, tmp_path: Path
) -> None:
    """Each may ask three times, which would be thirty requests; five of them fit."""
    daily.set_limits(fleet, daily.DEPLOYMENT, {"usd": DAY})
    jobs = [put(user, budget=Budget(iterations=8)) for _ in range(10)]
    with serving([Rule(answer=f"{LONG}\nANSWER: 12", delay_seconds=0.004)]) as standin:
        environment = {
            **os.environ,
            "REDRAFT_HOME": str(tmp_path / "home"),
            "REDRAFT_CACHE": str(tmp_path / "cache"),
            "REDRAFT_DATABASE_URL": fleet_url,
            "REDRAFT_BROKER_URL": valkey_url,
            "REDRAFT_AFFINITY_SECONDS": "0",
            "REDRAFT_SLOTS": str(SLOTS),
            "REDRAFT_ESCALATE_AFTER": "1",
            "REDRAFT_HINT_ITERATIONS": "1",
            "REDRAFT_EGRESS": "full",
            "REDRAFT_CLOUD_PRICES": f"[{PRICES.prompt}, {PRICES.cached}, {PRICES.completion}]",
            "REDRAFT_CLOUD_OUTPUT_TOKENS": "1024",
            "REDRAFT_HINT_OUTPUT_TOKENS": "1024",
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": standin.url,
        }
        with contextlib.ExitStack() as running:
            for argv in (["relay"], ["worker", "--lane", "cloud"], ["worker", "--lane", "cloud"]):
                running.enter_context(process(argv, environment))
            deadline = time.monotonic() + 240
            while len(live_workers(user)) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            while not all(job_summary(user, job).state.final for job in jobs):
                assert time.monotonic() < deadline
                claim = take(fleet, *ENGINE_AND_CHECKS)
                if claim is None:
                    time.sleep(0.05)
                else:
                    local = loop(fleet, standin.url, after=1, hints=2)
                    local.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
        spent = charged(standin)
        assert standin.posts == standin.accepted == len(standin.made)
    assert DAY - MOST < spent <= DAY
    with fleet.connect() as connection:
        together = connection.execute(
            text("""SELECT max(n) FROM (SELECT (SELECT count(*) FROM escalations b WHERE b.state = 'done'
                        AND b.created_at <= a.created_at AND b.finished_at > a.created_at) AS n
                    FROM escalations a WHERE a.state = 'done') AS at_once""")
        ).scalar_one()
        workers = connection.execute(
            text("SELECT count(DISTINCT worker) FROM calls WHERE operator IN ('hint', 'escalate')")
        ).scalar_one()
        kept = connection.execute(text("SELECT sum(usd) FROM escalations")).scalar_one()
        states = set(connection.execute(text("SELECT DISTINCT state FROM escalations")).scalars())
    assert together > 1, "they asked at once"
    assert workers == 2
    assert states == {"done", "refused"}
    assert kept == spent == sum(job_summary(user, job).spend.usd for job in jobs)
    with Database(admin_url) as admin:
        assert breaches(admin, submitted=jobs, drained=True) == ()

"""`make bench`: what Redraft costs on top of its engine, each compared in the same run. Prints tables.

Runs its own stack on the CPU engine with SmolLM2, in a temporary home: submit-to-first-claim, the overhead of
an iteration outside model and checks, and tokens/s through Redraft beside the same requests sent straight to
the same engine, interleaved.
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tasks.settings import load_settings
from tasks.store.queries import submit_jobs
from tasks.store.session import Database
from tasks.types import Budget, CheckSpec, Egress, JobSpec
from workers.local import stack
from workers.local.home import Home

PAIRS = 5
PROBES = 20
# Student's t, two-sided 95 %, for 1, 2, 3 … degrees of freedom.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
# No answer passes, so that every job runs its iterations to the end.
NEVER = CheckSpec(name="answer:never", kind="answer", value={"exact": "no model writes this"})


def main(pairs: int = PAIRS) -> None:
    """All three tables; `pairs` runs of each side are compared."""
    home = Home(root=Path(tempfile.mkdtemp(prefix="redraft-bench-")))
    running = stack.start(
        home, {"REDRAFT_MODEL": "smollm2-135m"}, lambda line: print(line, file=sys.stderr), attached=True
    )
    try:
        with Database(running.user_url, pool=2) as database:
            bench = Bench(home, database, running.worker_url, pairs)
            bench.run_jobs(1, seed=0)  # warm
            print(table(("submit to first claim", "median ms", "p95 ms", "n"), [bench.claim_latency()]))
            print(
                table(
                    ("an iteration", "median ms", "model ms", "checks ms", "overhead ms", "share"), [bench.overhead()]
                )
            )
            print(
                table(
                    ("jobs", "redraft tok/s", "direct tok/s", "ratio", f"95 % of {pairs} pairs"),
                    [bench.throughput(jobs) for jobs in (1, 4, 16)],
                )
            )
    finally:
        stack.stop(home)
        shutil.rmtree(home.postgres_folder().parent if home.postgres_folder().parent != home.root else home.root)
        shutil.rmtree(home.root, ignore_errors=True)


class Bench:
    """Measures one running stack."""

    def __init__(self, home: Home, database: Database, worker_url: str, pairs: int) -> None:
        self._pairs = pairs
        self._database, self._url = database, worker_url.replace("+psycopg", "", 1)
        self._engine = json.loads((home.run / "engine.json").read_text())

    def claim_latency(self) -> tuple[str, ...]:
        """From the commit of a submission to the claim, by the database's clock, one job at a time."""
        waits = []
        for number in range(PROBES):
            job = self.run_jobs(1, seed=number, iterations=1)[0]
            row = self._ask("SELECT extract(epoch FROM started_at - submitted_at) AS s FROM jobs WHERE id = %s", job)[0]
            waits.append(float(row["s"]) * 1000)
        return "one idle worker", f"{statistics.median(waits):.0f}", f"{quantile(waits, 0.95):.0f}", str(len(waits))

    def overhead(self) -> tuple[str, ...]:
        """What an iteration of one job takes beyond its model calls and its checks."""
        job = self.run_jobs(1, seed=1, iterations=12, strategy="best_of_n")[0]
        rows = self._ask(
            """SELECT extract(epoch FROM i.finished_at - i.started_at) AS whole,
                      (SELECT max(c.seconds) FROM calls c
                       WHERE c.job_id = i.job_id AND c.iteration = i.number) AS model,
                      (SELECT coalesce(sum(v.seconds), 0) FROM verdicts v
                       WHERE v.job_id = i.job_id AND v.iteration = i.number) AS checks
               FROM iterations i WHERE i.job_id = %s AND i.finished_at IS NOT NULL""",
            job,
        )
        whole, model, checks = ([float(row[name]) * 1000 for row in rows] for name in ("whole", "model", "checks"))
        extra = [w - m - c for w, m, c in zip(whole, model, checks, strict=True)]
        share = sum(extra) / sum(whole)
        middle = [f"{statistics.median(values):.0f}" for values in (whole, model, checks, extra)]
        return f"best_of_n, {len(rows)} of them", *middle, f"{share:.1%}"

    def throughput(self, jobs: int) -> tuple[str, ...]:
        """Completion tokens a second of `jobs` jobs, beside their own journalled requests sent straight.

        A first run journals the requests and warms the prefix cache for both sides; then the pairs send the same
        requests with the same seeds, and the side that goes first alternates.
        """
        ours, direct = [], []
        requests = self._redraft(jobs)[1]
        for pair in range(self._pairs):
            if pair % 2:
                direct.append(self._send(requests))
            ours.append(self._redraft(jobs)[0])
            if not pair % 2:
                direct.append(self._send(requests))
        low, middle, high = interval([mine / plain for mine, plain in zip(ours, direct, strict=True)])
        return (
            str(jobs),
            f"{statistics.median(ours):.0f}",
            f"{statistics.median(direct):.0f}",
            f"{middle:.2f}",
            f"{low:.2f} to {high:.2f}",
        )

    def _redraft(self, jobs: int) -> tuple[float, list[dict[str, Any]]]:
        """One run of `jobs` jobs of fixed seeds: tokens/s from the submission to the last end, and its requests."""
        started = time.monotonic()
        numbers = self.run_jobs(jobs, seed=1000 * jobs, iterations=1, strategy="best_of_n")
        seconds = time.monotonic() - started
        calls = self._ask("SELECT request, completion_tokens FROM calls WHERE job_id = ANY(%s) ORDER BY id", numbers)
        return sum(row["completion_tokens"] for row in calls) / seconds, [row["request"] for row in calls]

    def run_jobs(self, jobs: int, *, seed: int, iterations: int = 1, strategy: str = "single") -> list[int]:
        """Submits and waits for the end."""
        specs = [
            JobSpec(
                memory=False,  # what one job taught must not change the next one's figures
                title="bench",
                problem=f"Write a short story about the number {seed * 100 + number}.",
                checks=(NEVER,),
                strategy=strategy,
                budget=Budget(iterations=iterations),
                egress=Egress.NEVER,
                seed=seed * 100 + number,
            )
            for number in range(jobs)
        ]
        made = [one.job for one in submit_jobs(self._database, specs)]
        while self._ask("SELECT 1 FROM jobs WHERE id = ANY(%s) AND finished_at IS NULL LIMIT 1", made):
            time.sleep(0.02)
        return made

    def _send(self, requests: Sequence[dict[str, object]]) -> float:
        """The same requests, as many at once as Redraft has in flight, by a plain client; tokens/s."""
        in_flight = min(len(requests), load_settings().slots or 8)

        def one(request: dict[str, object]) -> int:
            body = {name: request[name] for name in ("messages", "temperature", "top_p", "top_k", "max_tokens", "seed")}
            body["model"] = self._engine["profile"]
            sent = urllib.request.Request(
                f"{self._engine['url']}/chat/completions",
                json.dumps(body).encode(),
                {"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(sent, timeout=600) as response:
                return int(json.load(response)["usage"]["completion_tokens"])

        started = time.monotonic()
        with ThreadPoolExecutor(in_flight) as pool:
            tokens = sum(pool.map(one, requests))
        return tokens / (time.monotonic() - started)

    def _ask(self, query: str, parameter: object) -> list[dict[str, Any]]:
        with psycopg.connect(self._url, row_factory=dict_row) as connection:
            return connection.execute(query, (parameter,)).fetchall()  # type: ignore[arg-type]


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """The geometric mean of `ratios` between the ends of its 95 % confidence interval (Student's t on logarithms)."""
    logs = [math.log(ratio) for ratio in ratios]
    middle, freedom = statistics.fmean(logs), len(logs) - 1
    if not freedom:
        return ratios[0], ratios[0], ratios[0]
    half = T_95[min(freedom, len(T_95)) - 1] * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(middle - half), math.exp(middle), math.exp(middle + half)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], pad: Callable[[str, int], str] = str.ljust) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n" + "\n".join(lines)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))

"""Redraft's queue beside DBOS and procrastinate: the same Postgres, the same run, each in processes of its own.

`make bench-queue` runs it. Rounds are interleaved, and what is compared are ratios within a round. The peers live in an
environment of their own (`ops/requirements-bench.lock`); each side's script in `ops/peers/` says what it asks of whom.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import psycopg
from figures import interval, quantile, table

from workers.home import Home
from workers.local.postgres import EmbeddedPostgres

HERE = Path(__file__).parent
SIDES = ("redraft", "dbos", "procrastinate")
ROUNDS = 5
# Of each: enough for a p95, few enough for a few minutes in all.
COUNTS = {"claims": 1000, "steps": 200, "latency": 20}
# A new stack or a poll of a second for each job: once is enough to see which order of magnitude it is.
ONCE = ("latency",)

Found = dict[str, dict[str, list[dict[str, list[float]]]]]


def main(peers_python: str, rounds: int = ROUNDS) -> None:
    """Prints a table a measure."""
    home = Home(root=Path(tempfile.mkdtemp(prefix="redraft-peers-")))
    home.make()
    server = EmbeddedPostgres(home)
    server.start()
    try:
        found = measured(server, {**dict.fromkeys(SIDES, peers_python), "redraft": sys.executable}, rounds)
    finally:
        server.stop()
        shutil.rmtree(home.postgres_folder(), ignore_errors=True)
        shutil.rmtree(home.root, ignore_errors=True)
    print(claims_table(found["claims"]))
    print(times_table("a durable step", found["steps"]))
    print(times_table("enqueue to claim", found["latency"]))


def measured(server: EmbeddedPostgres, pythons: dict[str, str], rounds: int) -> Found:
    """Every measure of every side, a fresh database each, the sides in another order each round."""
    found: Found = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for measure, count in COUNTS.items():
            if number and measure in ONCE:
                continue
            for side in SIDES[number % len(SIDES) :] + SIDES[: number % len(SIDES)]:
                print(f"round {number + 1} of {rounds}: {measure}, {side}", file=sys.stderr)
                url = _database(server, f"{side}_{measure}_{number}")
                found[measure][side].append(_run(pythons[side], side, measure, url, count))
    return found


def claims_table(found: dict[str, list[dict[str, list[float]]]]) -> str:
    """Claims a second and their times; the ratio is of claims a second."""
    rows = []
    for side in SIDES:
        rates = [len(run["each"]) / run["seconds"] for run in found[side]]
        theirs = [len(run["each"]) / run["seconds"] for run in found["redraft"]]
        each = [seconds for run in found[side] for seconds in run["each"]]
        enqueued = [len(run["each"]) / run["enqueue"] for run in found[side]]
        rows.append(
            (
                side,
                f"{statistics.median(rates):.0f}",
                f"{statistics.median(each) * 1000:.1f}",
                f"{quantile(each, 0.95) * 1000:.1f}",
                _ratio(rates, theirs),
                f"{statistics.median(enqueued):.0f}",
            )
        )
    return table(("side", "claims/s", "p50 ms", "p95 ms", "of redraft's, 95 %", "enqueued/s"), rows)


def times_table(what: str, found: dict[str, list[dict[str, list[float]]]]) -> str:
    """Medians and p95 of a time; the ratio is of medians, round by round."""
    rows = []
    for side in SIDES:
        each = [seconds for run in found[side] for seconds in run["each"]]
        middles = [statistics.median(run["each"]) for run in found[side]]
        ours = [statistics.median(run["each"]) for run in found["redraft"]]
        rows.append(
            (
                side,
                f"{statistics.median(each) * 1000:.1f}",
                f"{quantile(each, 0.95) * 1000:.1f}",
                _ratio(middles, ours),
                str(len(each)),
            )
        )
    return table((what, "median ms", "p95 ms", "of redraft's, 95 %", "n"), rows)


def _ratio(values: list[float], ours: list[float]) -> str:
    if values == ours:
        return "1"
    low, middle, high = interval([value / mine for value, mine in zip(values, ours, strict=True)])
    return f"{middle:.2f}" if low == high else f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _database(server: EmbeddedPostgres, name: str) -> str:
    with psycopg.connect(server.url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
    return server.url_of(name)


def _run(python: str, side: str, measure: str, url: str, count: int) -> dict[str, list[float]]:
    done = subprocess.run(
        [python, str(HERE / "peers" / f"with_{side}.py"), measure, url, str(count)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
    )
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:3]))

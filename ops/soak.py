"""`make soak`: hours on the real engine while parts of the stack are killed, stopped and ended at random.

Runs a stack of its own in a temporary home, keeps jobs flowing, and hurts one process after another, by a seeded
sequence. It brings back by hand (`redraft up --detach`, as an operator would) only what the stack cannot bring back
itself: its owner. Every few minutes and at the end, when every job had the time to finish, it checks the invariants
of `tasks/store/invariants.py`. Each row goes to a results file as it comes; `--show FILE` prints its tables.

Exits 1 where an invariant is broken or work did not go on after a fault.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import faults
import psycopg
from psycopg.rows import dict_row
from traffic import Traffic

from tasks.errors import RedraftError
from tasks.locations import child_environment
from tasks.store.invariants import INVARIANTS, breaches
from tasks.store.session import Database
from tasks.types import JobState
from workers import stackfile
from workers.home import Home
from workers.local import stack
from workers.packaged import ops

REDRAFT = (sys.executable, "-m", "workers.cli.main")
VISIBILITY_TIMEOUT_SECONDS = 60
# Fewer than jobs are kept alive: some always wait.
SLOTS = 4
# Between the recovery from one fault and the next.
PAUSE_SECONDS = (3.0, 20.0)
# Work that has not gone on by then counts as not back: loading a model anew takes under a minute.
RECOVERY_SECONDS = 300.0
# A stack that is told to end lets its turns reach a checkpoint, and stops its parts one after another.
EFFECT_SECONDS = 90.0
DRAIN_SECONDS = 900.0
CHECK_EVERY_SECONDS = 180.0
WATCH_SECONDS = 0.25

Row = dict[str, Any]


class Soak:
    """One run. `note` takes a row of results as it comes."""

    def __init__(self, home: Home, *, model: str, seed: int, kinds: Sequence[str], note: Callable[[Row], None]) -> None:
        self._home, self._model, self._note = home, model, note
        self._chance = random.Random(seed)  # noqa: S311 - to be repeatable
        self._faults = faults.sequence(self._chance, kinds)
        self._traffic = Traffic(home.root, ops("demo"), seed)
        self._in_flight: dict[tuple[int, int], int] = {}
        self.stopping = threading.Event()
        self.broken = False

    def run(self, minutes: float) -> None:
        """Until the minutes are over or `stopping` is set; leaves the stack running."""
        self._up()
        self._traffic.start()
        until = time.monotonic() + minutes * 60
        next_check = time.monotonic() + CHECK_EVERY_SECONDS
        while time.monotonic() < until and not self.stopping.is_set():
            self._watched(self._chance.uniform(*PAUSE_SECONDS))
            if not self.stopping.is_set():
                self._one(next(self._faults))
            if time.monotonic() > next_check:
                self.check(drained=False)
                next_check = time.monotonic() + CHECK_EVERY_SECONDS
        self._traffic.stop()
        drained = not self.stopping.is_set() and self._drain()
        self.check(drained=drained or not self.stopping.is_set())

    def _up(self) -> bool:
        environment = {
            **child_environment(self._home.root),
            "REDRAFT_VISIBILITY_TIMEOUT_SECONDS": str(VISIBILITY_TIMEOUT_SECONDS),
            "REDRAFT_SLOTS": str(SLOTS),
        }
        argv = [*REDRAFT, "up", "--detach", "--model", self._model]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            self._note({"row": "up failed", "why": done.stderr.strip().splitlines()[-1:]})
        return done.returncode == 0

    # ── one fault ────────────────────────────────────────────────────────────────────────────

    def _one(self, fault: faults.Fault) -> None:
        hit = faults.victims(self._home, fault)
        if not hit and fault.part != "nothing":
            return
        before = self._epochs()
        if before is None:
            return
        held = {row["job_id"] for row in before if row["worker"]}
        epochs = {row["job_id"]: row["epoch"] for row in before}
        say(f"{fault.name} {' '.join(str(process.pid) for process in hit)}")
        began = time.monotonic()
        faults.inflict(fault, hit, self.stopping)
        faults.took_effect(fault, hit, EFFECT_SECONDS)
        by_hand, seconds = self._recovered(began, held, epochs)
        back = seconds is not None
        self.broken |= not back and not self.stopping.is_set()
        if back or not self.stopping.is_set():
            self._note(
                {
                    "row": "fault",
                    "fault": fault.name,
                    "held": len(held),
                    "seconds": seconds,
                    "by_hand": by_hand,
                    "back": back,
                }
            )

    def _recovered(self, began: float, held: set[int], epochs: Mapping[int, int]) -> tuple[int, float | None]:
        """How often `up` was needed, and the seconds from the fault until a call was committed under a new claim
        and every job that was held has been claimed again or is final. None: not within `RECOVERY_SECONDS`."""
        by_hand = 0
        while not self.stopping.is_set() and time.monotonic() < began + RECOVERY_SECONDS:
            if stackfile.read(self._home.root) is None:
                by_hand += 1
                self._up()
            if self._ran_again(held, epochs):
                return by_hand, round(time.monotonic() - began, 1)
            self._watched(WATCH_SECONDS)
        return by_hand, None

    def _ran_again(self, held: set[int], epochs: Mapping[int, int]) -> bool:
        rows = self._ask(
            """SELECT j.id, j.state, l.epoch, l.worker, (
                      SELECT max(c.epoch) FROM calls c WHERE c.job_id = j.id) AS called
               FROM jobs j JOIN leases l ON l.job_id = j.id"""
        )
        if rows is None:
            return False
        waiting = [
            row
            for row in rows
            if row["id"] in held
            and not JobState(row["state"]).final
            and not (row["worker"] and row["epoch"] > epochs[row["id"]])
            and (row["called"] or 0) <= epochs[row["id"]]
        ]
        return not waiting and any((row["called"] or 0) > epochs.get(row["id"], 0) for row in rows)

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    def _watched(self, seconds: float) -> None:
        """Waits, and meanwhile remembers what each turn had in flight."""
        until = time.monotonic() + seconds
        while True:
            for row in self._epochs() or []:
                key = row["job_id"], row["epoch"]
                self._in_flight[key] = max(self._in_flight.get(key, 0), row["live_tokens"])
            left = until - time.monotonic()
            if left <= 0 or self.stopping.wait(min(left, 1.0)):
                return

    def _epochs(self) -> list[Row] | None:
        return self._ask("SELECT job_id, epoch, worker, live_tokens FROM leases")

    def _ask(self, query: str, *parameters: object) -> list[Row] | None:
        """Rows, None where Postgres is away."""
        found = stackfile.read(self._home.root)
        if found is None:
            return None
        try:
            url = found.worker_url.replace("+psycopg", "", 1)
            with psycopg.connect(url, connect_timeout=3, row_factory=dict_row) as connection:
                connection.execute("SET statement_timeout = 5000")
                return connection.execute(query, parameters).fetchall()  # type: ignore[arg-type]
        except psycopg.Error:
            return None

    def _drain(self) -> bool:
        say("no more faults and no more jobs; waiting for the last ones to finish")
        until = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < until and not self.stopping.is_set():
            if stackfile.read(self._home.root) is None:
                self._up()
            rows = self._ask("SELECT count(*) AS n FROM jobs WHERE finished_at IS NULL")
            if rows and rows[0]["n"] == 0:
                return True
            self._watched(2.0)
        return False

    # ── the invariants ───────────────────────────────────────────────────────────────────────

    def check(self, *, drained: bool) -> None:
        """Notes every broken invariant and where the jobs stand; waits for Postgres to be there."""
        for _ in range(60):
            found = stackfile.read(self._home.root)
            try:
                if found is not None:
                    submitted = self._traffic.submitted
                    with Database(found.worker_url, pool=1) as database:
                        broken = breaches(database, submitted=submitted, drained=drained)
                    self._note_check([[b.invariant, b.job, b.what] for b in broken], len(submitted), drained)
                    return
            except RedraftError as error:
                say(f"the invariants wait for Postgres: {error}")
            if found is None:
                self._up()
            time.sleep(2)
        self.broken = True
        self._note({"row": "check", "breaches": [["the database never answered", 0, ""]], "final": drained})

    def _note_check(self, broken: list[list[object]], submitted: int, drained: bool) -> None:
        self.broken |= bool(broken)
        states = self._ask("SELECT state, count(*) AS n FROM jobs GROUP BY state ORDER BY state") or []
        sums = self._ask(
            """SELECT (SELECT count(*) FROM iterations WHERE finished_at IS NOT NULL) AS iterations,
                      (SELECT count(*) FROM calls) AS calls,
                      (SELECT coalesce(sum(completion_tokens), 0)::bigint FROM calls) AS tokens_out,
                      (SELECT count(*) FROM events WHERE kind = 'lease expired') AS leases_expired,
                      (SELECT count(*) FROM events WHERE kind = 'fault') AS faults_of_services"""
        ) or [{}]
        self._note(
            {
                "row": "check",
                "final": drained,
                "invariants": len(INVARIANTS),
                "breaches": broken,
                "submitted": submitted,
                "submissions_refused": self._traffic.refused,
                "states": {row["state"]: row["n"] for row in states},
                **sums[0],
                "tokens_redone": self._redone(),
            }
        )

    def _redone(self) -> int:
        """Tokens that turns had in flight and never committed, as they last told with a renewal: a lower bound.
        What a cancelled job threw away is not made again and not counted."""
        committed = self._ask(
            """SELECT l.job_id, e.epoch, coalesce((SELECT sum(c.completion_tokens) FROM calls c
                      WHERE c.job_id = l.job_id AND c.epoch = e.epoch), 0)::bigint AS tokens
               FROM leases l JOIN jobs j ON j.id = l.job_id AND j.state <> 'cancelled'
               JOIN LATERAL generate_series(1, l.epoch - 1) AS e(epoch) ON true"""
        )
        done = {(row["job_id"], row["epoch"]): row["tokens"] for row in committed or []}
        return sum(max(0, live - done[key]) for key, live in self._in_flight.items() if key in done)


# ── results ──────────────────────────────────────────────────────────────────────────────────


def report(rows: Sequence[Row]) -> str:
    """The tables of a run out of its rows, of an interrupted one too."""
    lines = [("fault", "times", "by itself", "with `up`", "not back", "median s", "worst s")]
    hits = [row for row in rows if row["row"] == "fault"]
    for name in sorted({row["fault"] for row in hits}):
        of_kind = [row for row in hits if row["fault"] == name]
        seconds = [row["seconds"] for row in of_kind if row["back"]]
        by_hand = sum(1 for row in of_kind if row["back"] and row["by_hand"])
        lines.append(
            (
                name,
                str(len(of_kind)),
                str(len(seconds) - by_hand),
                str(by_hand),
                str(len(of_kind) - len(seconds)),
                f"{statistics.median(seconds):.1f}" if seconds else "-",
                f"{max(seconds):.1f}" if seconds else "-",
            )
        )
    checks = [row for row in rows if row["row"] == "check"]
    return "\n".join([*_aligned(lines), "", *_totals(checks, rows)])


def _totals(checks: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    if not checks:
        return ["no check was made"]
    last = checks[-1]
    broken = sorted({tuple(breach) for row in checks for breach in row["breaches"]}, key=str)

    def count(*starts: str) -> int:
        return len({breach[1:] for breach in broken if str(breach[0]).startswith(starts)})

    states = ", ".join(f"{number} {state}" for state, number in last.get("states", {}).items())
    first, end = rows[0], rows[-1]
    table = [
        ("minutes, seed", f"{(end['at'] - first['at']) / 60:.0f}, {first.get('seed')}"),
        ("jobs", f"{last.get('submitted')} acknowledged: {states}"),
        ("iterations, calls", f"{last.get('iterations')}, {last.get('calls')}"),
        ("tokens out, redone", f"{last.get('tokens_out')}, at least {last.get('tokens_redone')}"),
        ("leases expired", str(last.get("leases_expired"))),
        ("submissions tried again", str(last.get("submissions_refused"))),
        (
            "checks of invariants",
            f"{len(checks)}, the last {'after all jobs had ended' if last['final'] else 'midway'}",
        ),
        ("lost, doubled, diverged", f"{count('I1')}, {count('I2')}, {count('I4')}"),
        ("invariants broken", str(len(broken))),
    ]
    return [*_aligned(table), *(f"BROKEN {name}: job {job}: {what}" for name, job, what in broken)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def say(line: str) -> None:
    """A line for whoever looks on."""
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="of faults and jobs; a new one where left out")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--faults", default=",".join(faults.KINDS), help="kinds, separated by commas")
    parser.add_argument("--results", type=Path, default=None, help="default: soak-SEED.jsonl")
    parser.add_argument("--show", type=Path, default=None, help="print the tables of an earlier run and end")
    given = parser.parse_args()
    if given.show:
        print(report([json.loads(line) for line in given.show.read_text().splitlines()]))
        return 0
    kinds = [name.strip() for name in given.faults.split(",")]
    unknown = [name for name in kinds if name not in faults.KINDS]
    if unknown:
        parser.error(f"--faults: {unknown[0]!r} is not known; known are {', '.join(faults.KINDS)}")
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    return soak(given.minutes, seed, given.model, kinds, given.results or Path(f"soak-{seed}.jsonl"))


def soak(minutes: float, seed: int, model: str, kinds: Sequence[str], results: Path) -> int:
    """One run from an empty home to `down`. The home stays where something is broken."""
    home = Home(root=Path(tempfile.mkdtemp(prefix="redraft-soak-")))
    rows: list[Row] = []
    with results.open("w") as file:

        def note(row: Row) -> None:
            rows.append({"at": round(time.time(), 1), **row})
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
            say(json.dumps(row))

        note({"row": "start", "seed": seed, "minutes": minutes, "model": model, "faults": list(kinds)})
        run = Soak(home, model=model, seed=seed, kinds=kinds, note=note)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: run.stopping.set())
        try:
            run.run(minutes)
        finally:
            stack.stop(home)
    print(report(rows))
    if run.broken:
        say(f"something is broken; the home stays for a look: {home.root} and {home.postgres_folder()}")
        return 1
    shutil.rmtree(home.postgres_folder().parent if home.postgres_folder().parent != home.root else home.root)
    shutil.rmtree(home.root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

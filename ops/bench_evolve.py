"""`make bench-evolve`: Redraft's strategies for jobs with a score beside OpenEvolve, at equal completion tokens.

Five of the examples, each with a simple start that both sides are given: OpenEvolve as its initial program, Redraft as
the job's `start`. Both use one engine and one model at the same time, and the visible evaluator of the example in
Redraft's sandbox, without a target. Redraft's side is a job on a stack of its own; OpenEvolve has its defaults but for
the model and its address, and `openevolve-rewrite` is told to write whole programs. What is compared is the best value
of each, the start's included, after the same completion tokens: a job has them as its budget, and a server before the
engine cuts OpenEvolve's last answer there.

A row a run is appended to a file as it comes; started again with the same model, tokens and problems, the bench goes on
with what is missing there.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bench_demo import processor
from evolve_problems import Problem, job_of, problems
from evolve_rows import PEER, Made, Row, append, made_by_calls, read_rows, said_of, text
from peers.counting import Contest, CountingServer, counting
from rig import Rig, running

from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Checks
from tasks.settings import load_settings
from tasks.types import Budget, CheckSpec, JobSpec, Verdict
from workers.cli.bench_parts import checks_of
from workers.packaged import ops

HERE = Path(__file__).parent
# Of OpenEvolve's sides, what it asks the model for.
FORMS = {PEER: "diff", f"{PEER}-rewrite": "rewrite"}
MODEL = "qwen2.5-coder-1.5b-q4"
TOKENS = 3000
UNLIMITED = Budget(hours=8_760, iterations=10_000, tokens=10**12)
# After the last token a candidate may still be evaluated; a peer that then does nothing more is ended.
PATIENCE_SECONDS = 600.0
# Each job at once is followed by a connection of one login, which may have 20; 13 have been seen to work.
MOST_AT_ONCE = 13


def main(argv: Sequence[str] | None = None) -> None:
    """The tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [problem.name for problem in problems()]
    parser.add_argument("python", help="an interpreter with ops/requirements-bench.lock")
    parser.add_argument("--model", default=MODEL, help="the name of a profile")
    parser.add_argument("--endpoint", help="the base URL of a server of that model, ending in /v1; else one is started")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="completion tokens of a run")
    parser.add_argument("--seeds", type=int, default=5, help="how many: 1, 2, 3, …")
    parser.add_argument("--problems", nargs="+", choices=known, default=known)
    parser.add_argument("--sides", nargs="+", default=["evolve", PEER], help="strategies, and openevolve[-rewrite]")
    parser.add_argument("--minutes", type=float, help="no run begins after so many")
    parser.add_argument(
        "--at-once",
        type=int,
        default=1,
        choices=range(1, MOST_AT_ONCE + 1),
        metavar="N",
        help=f"pairs, to fill the engine's batch (default: 1, at most {MOST_AT_ONCE})",
    )
    parser.add_argument("--rows", type=Path, default=Path("bench-evolve.jsonl"), help="the file that rows are kept in")
    given = parser.parse_args(argv)
    chosen = [problem for problem in problems() if problem.name in given.problems]
    setup = setup_of(given.model, given.tokens)
    rows = {row.key: row for row in read_rows(given.rows) if row.setup == setup}
    wanted = [(seed, problem) for seed in range(1, given.seeds + 1) for problem in chosen]
    missing = [
        (seed, problem, sides)
        for seed, problem in wanted
        if (sides := [side for side in given.sides if (problem.name, side, seed) not in rows])
    ]
    if missing:
        begun = time.monotonic()
        options = {"endpoint": given.endpoint, "endpoint_model": given.model} if given.endpoint else {}
        with (
            running(given.model, **options) as rig,
            counting(lambda: given.endpoint or rig.engine_url) as server,
        ):
            checks = checks_of(load_settings())
            model = given.model if given.endpoint else rig.engine.model
            with Bench(rig, server, checks, given.python, model, setup, given.tokens) as bench:
                for row in bench.run_all(missing, given.at_once, lambda: late(begun, given.minutes)):
                    rows[row.key] = row
                    append(given.rows, row)
                    print(f"{row.problem} {row.side} {row.seed}: {row.best:g}", file=sys.stderr)
    names = {problem.name for problem in chosen}
    shown = [row for row in rows.values() if row.problem in names and row.side in given.sides]
    print(text(shown, given.sides, f"{processor()}; {given.model}, {given.tokens} completion tokens a run"))


class Bench:
    """Runs sides on one engine. When it is left, no peer runs on."""

    def __init__(
        self, rig: Rig, server: CountingServer, checks: Checks, python: str, model: str, setup: str, tokens: int
    ) -> None:
        self._rig, self._server, self._checks = rig, server, checks
        self._python, self._model, self._setup, self._tokens = python, model, setup, tokens
        self._peers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._peers:
            _end(process)

    def run_all(
        self, pairs: Iterable[tuple[int, Problem, Sequence[str]]], at_once: int, late: Callable[[], bool]
    ) -> Iterator[Row]:
        """Seeds, problems and the sides that are missing: so many pairs at once, none begun once it is `late`."""
        waiting, ended = iter(pairs), queue.Queue[Row | BaseException | None]()
        lock = threading.Lock()

        def work() -> None:
            try:
                while not late():
                    with lock:
                        pair = next(waiting, None)
                    if pair is None:
                        break
                    seed, problem, sides = pair
                    for row in self.run(problem, sides, seed):
                        ended.put(row)
                ended.put(None)
            except BaseException as error:  # noqa: BLE001 - the caller raises it
                ended.put(error)

        for _ in range(at_once):
            threading.Thread(target=work, daemon=True).start()
        at_work = at_once
        while at_work:
            row = ended.get()
            if isinstance(row, BaseException):
                raise row
            if row is None:
                at_work -= 1
            else:
                yield row

    def run(self, problem: Problem, sides: Sequence[str], seed: int) -> Iterator[Row]:
        """All sides at once, whoever is ready first."""
        job, begun = job_of(problem), time.monotonic()
        start = self._evaluate(problem.start, job.checks)
        assert start.value is not None, f"{problem.name}: {start.feedback}"

        ended: queue.Queue[Row | BaseException] = queue.Queue()

        def tell(side: str) -> None:
            try:
                ended.put(one(side))
            except BaseException as error:  # noqa: BLE001 - the caller raises it
                ended.put(error)

        def one(side: str) -> Row:
            run = self._peer if side in FORMS else self._redraft
            made = run(problem, job, side, seed)
            return Row(
                setup=self._setup,
                problem=problem.name,
                side=side,
                seed=seed,
                goal=job.checks[0].value["goal"],
                start=start.value,
                seconds=round(time.monotonic() - begun, 1),
                made=made,
            )

        for side in sides:
            threading.Thread(target=tell, args=(side,), daemon=True).start()
        for _ in sides:
            row = ended.get()
            if isinstance(row, BaseException):
                raise row
            yield row

    def _redraft(self, problem: Problem, job: JobSpec, strategy: str, seed: int) -> Sequence[Made]:
        spec = dataclasses.replace(
            job,
            start=problem.start,
            strategy=strategy,
            seed=seed,
            budget=dataclasses.replace(UNLIMITED, completion_tokens=self._tokens),
        )
        [ran] = self._rig.run([spec])
        calls = self._rig.query(
            "SELECT iteration, slot, operator, completion_tokens AS tokens,"
            " guard ->> 'kind' IS NOT NULL AND guard -> 'let_through' IS NULL AS cut"
            " FROM calls WHERE job_id = %s ORDER BY id",
            ran.id,
        )
        return made_by_calls(ran, calls)

    def _peer(self, problem: Problem, job: JobSpec, side: str, seed: int) -> Sequence[Made]:
        contest = Contest(
            budget=self._tokens, evaluate=lambda answer: self._evaluate(answer, job.checks), share=problem.share
        )
        address = self._server.open(f"{problem.name}-{side}-{seed}", contest)
        folder = Path(tempfile.mkdtemp(prefix="redraft-peer-"))
        try:
            (folder / "problem.txt").write_text(job.problem)
            (folder / problem.file).write_text(problem.start)
            self._until_spent(folder, address, side, seed, contest)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return [
            Made(
                by=FORMS[side],
                tokens=answer.tokens,
                value=answer.verdict.value if answer.verdict else None,
                said=said_of(answer.verdict.feedback) if answer.verdict else "it did not apply",
            )
            for answer in contest.answers
        ]

    def _until_spent(self, folder: Path, address: str, side: str, seed: int, contest: Contest) -> None:
        """Runs OpenEvolve in a session of its own, and ends it when it wants more than its budget, or is orphaned."""
        command = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            self._python,
            str(HERE / "peers" / "with_openevolve.py"),
            str(folder),
            address,
        ]
        command += [self._model, str(seed), FORMS[side]]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            self._peers.append(process)
            try:
                idle, seen = time.monotonic(), 0
                while not contest.spent.wait(1.0):
                    if process.poll() is not None:
                        raise SystemExit(f"{side} ended by itself: {(folder / 'log').read_text()[-2000:]}")
                    if contest.used != seen:
                        idle, seen = time.monotonic(), contest.used
                    if seen >= contest.budget and time.monotonic() - idle > PATIENCE_SECONDS:
                        break
            finally:
                _end(process)

    def _evaluate(self, answer: str, checks: Sequence[CheckSpec]) -> Verdict:
        [verdict] = self._checks.validate(answer, checks, SilentHeartbeat())
        return verdict


def late(begun: float, minutes: float | None) -> bool:
    """Whether so many minutes have passed since `begun`, a reading of the monotonic clock."""
    return minutes is not None and time.monotonic() - begun > 60 * minutes


def setup_of(model: str, tokens: int) -> str:
    """What must be equal for two rows to belong together: the model, the tokens, the problems, the peer's version."""
    digest = hashlib.sha256(json.dumps([model, tokens]).encode())
    digest.update((HERE / "requirements-bench.lock").read_bytes())
    for problem in problems():
        digest.update(f"{problem.name}{problem.start}".encode())
        for name in ("job.md", "evaluate.py"):
            digest.update((ops("examples") / problem.name / name).read_bytes())
    return digest.hexdigest()[:16]


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    main()

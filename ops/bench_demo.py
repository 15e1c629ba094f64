"""`make bench-demo`: the demo by seed, on one stack of its own: `SEEDS=20` of them.

Each row is what `redraft demo --seed N --json` said: its exit code, how many problems were accepted and how many of
these after a rejected iteration, iterations, tokens written, seconds from the submission to the last end. The first
row's start is that of the whole stack, from a cache that may be warm; a later one's is a look at what runs. Below the
table stands the share of seeds with exit code 0, `ENOUGH` accepted and a corrected one, with Clopper and Pearson's 95 %
interval.

Rows are appended to a file as they come; started again with the same problems, model and processor, the bench goes on
with the seeds that are missing there.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import share_interval, table

from workers.engine.record import read_record
from workers.home import Home
from workers.local import stack
from workers.packaged import ops

ENOUGH = 5
ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One demo. `setup` names what was measured, in one hash; `start` and `seconds` are seconds, the latter from the
    submission to the last job's end."""

    setup: str
    seed: int
    exit_code: int
    engine: str
    accepted: int
    of: int
    corrected: int
    iterations: int
    tokens: int
    start: float
    seconds: float

    @property
    def good(self) -> bool:
        """Whether this is what a demo should be."""
        return self.exit_code == 0 and self.accepted >= ENOUGH and self.corrected >= 1

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds if self.seconds else 0.0


def main(argv: Sequence[str] | None = None) -> None:
    """One table, or one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many: 1, 2, 3, …")
    parser.add_argument("--model", default="", help="the name of a profile")
    parser.add_argument("--engine", default="", help="vllm or llama.cpp")
    parser.add_argument("--endpoint", default="", help="an OpenAI-compatible server to use")
    parser.add_argument("--rows", type=Path, default=Path("bench-demo.jsonl"), help="the file that rows are kept in")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    wanted = range(1, given.seeds + 1)
    arguments = [f"--{name}={value}" for name in ("model", "engine", "endpoint") if (value := getattr(given, name))]
    setup = _setup(arguments)
    known = {row.seed: row for row in _read(given.rows) if row.setup == setup and row.seed in wanted}
    missing = [seed for seed in wanted if seed not in known]
    if missing:
        with _home() as home:
            for seed in missing:
                known[seed] = _run(home, seed, arguments, setup)
                _append(given.rows, known[seed])
    rows = [known[seed] for seed in wanted]
    print(json.dumps(_document(rows), indent=1) if given.json else _text(rows))


def _run(home: Home, seed: int, arguments: Sequence[str], setup: str) -> Row:
    """One demo as a user runs it, its messages on stderr."""
    command = [sys.executable, "-m", "workers.cli.main", "demo", f"--seed={seed}", "--json", *arguments]
    environment = {**os.environ, "REDRAFT_HOME": str(home.root)}
    begun = time.monotonic()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    wall = time.monotonic() - begun
    if not done.stdout.strip():
        raise SystemExit(f"seed {seed}: `redraft demo` ended with {done.returncode} and no result; logs: {home.log}")
    said: dict[str, Any] = json.loads(done.stdout)
    jobs = said["jobs"]
    return Row(
        setup=setup,
        seed=seed,
        exit_code=done.returncode,
        engine=_engine(home) or said["model"],
        accepted=sum(job["state"] == ACCEPTED for job in jobs),
        of=len(jobs),
        corrected=sum(job["corrected"] for job in jobs),
        iterations=sum(job["iterations"] for job in jobs),
        tokens=said["completion_tokens"],
        start=round(wall - said["seconds"], 1),
        seconds=round(said["seconds"], 1),
    )


def _engine(home: Home) -> str:
    """The engine of this home's stack and its model; empty where it uses an endpoint."""
    record = read_record(home)
    return f"{record.version} {record.profile}".strip() if record else ""


@contextmanager
def _home() -> Iterator[Home]:
    """A home of its own; nothing of it is left afterwards."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    home = Home(root=Path(tempfile.mkdtemp(prefix="redraft-bench-")))
    try:
        yield home
    finally:
        stack.stop(home)
        shutil.rmtree(home.postgres_folder(), ignore_errors=True)
        shutil.rmtree(home.root, ignore_errors=True)


def _setup(arguments: Sequence[str]) -> str:
    """What must be equal for two rows to belong together: the problems, the flags, the processor."""
    digest = hashlib.sha256(json.dumps([processor(), *arguments]).encode())
    for path in sorted(ops("demo").iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def processor() -> str:
    """Its name, how many of its cores this process may use, and the instructions that decide an engine's speed."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines() if ":" in line
    )
    known = {name.strip(): value.strip() for name, value in fields.items()}
    flags = known.get("flags", "").split()
    relevant = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{known.get('model name', 'unknown')}, {len(os.sched_getaffinity(0))} cores, {' '.join(relevant) or '-'}"


def _text(rows: Sequence[Row]) -> str:
    head = ("seed", "exit", "accepted", "corrected", "iterations", "tokens", "start s", "demo s", "tok/s")
    cells = [
        [
            str(row.seed),
            str(row.exit_code),
            f"{row.accepted} of {row.of}",
            str(row.corrected),
            str(row.iterations),
            f"{row.tokens:,}",
            f"{row.start:.0f}",
            f"{row.seconds:.0f}",
            f"{row.rate:.0f}",
        ]
        for row in rows
    ]
    found = _document(rows)
    low, high = found["interval"]
    engines = ", ".join(sorted({row.engine for row in rows}))
    return "\n".join(
        [
            f"{processor()}; {engines}",
            table(head, cells, str.rjust),
            "",
            f"{found['good']} of {len(rows)} exit with 0, {ENOUGH} or more accepted and one corrected: "
            f"{found['share']:.0%} (95 % interval {low:.0%} to {high:.0%})",
            f"seconds of a demo: {found['median_seconds']:.0f} at the median, {found['most_seconds']:.0f} at most",
        ]
    )


def _document(rows: Sequence[Row]) -> dict[str, Any]:
    good, seconds = sum(row.good for row in rows), [row.seconds for row in rows]
    return {
        "processor": processor(),
        "rows": [dataclasses.asdict(row) for row in rows],
        "good": good,
        "share": good / len(rows),
        "interval": share_interval(good, len(rows)),
        "median_seconds": statistics.median(seconds),
        "most_seconds": max(seconds),
    }


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    return [Row(**json.loads(line)) for line in path.read_text().splitlines() if line.endswith("}")]


def _append(path: Path, row: Row) -> None:
    with path.open("ab+") as file:
        file.seek(max(0, file.tell() - 1))
        torn = file.read() not in (b"", b"\n")
        file.write((b"\n" if torn else b"") + json.dumps(dataclasses.asdict(row)).encode() + b"\n")


if __name__ == "__main__":
    main()

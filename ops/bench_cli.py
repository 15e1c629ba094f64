"""`make bench-cli`: what the commands that people type cost, in seconds on the clock and of CPU, on a stack of its own
over an endpoint that computes nothing.

Rows go to `bench-cli.json` as they come; where that holds an earlier run, the table shows it beside the new one. The
CPU is that of the command alone; `up` and `down` wait for the parts' own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from figures import table

from tests.standin.saying import serving
from workers.home import Home

KEPT = Path("bench-cli.json")
JOB = "---\nchecks:\n  - answer: 42\nbudget: {iterations: 1}\n---\nHow many?\n"
LOOKS = ("ls", "show 1", "status", "alive", "history 1", "up --detach", "submit job.md")


def timed(arguments: str, home: Path) -> tuple[float, float]:
    """Seconds on the clock and of CPU of one command line in `home`. Raises `CalledProcessError`."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [Path(sys.executable).with_name("redraft"), *arguments.split()],
        env={**os.environ, "REDRAFT_HOME": str(home)},
        cwd=home.parent,
        check=True,
        capture_output=True,
    )
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(home: Path, runs: int) -> dict[str, tuple[float, float]]:
    """The median of each command over `runs`; the first `up`, which makes the database, has a row of its own."""
    (home.parent / "job.md").write_text(JOB)
    rows: dict[str, list[tuple[float, float]]] = {}
    with serving(lambda prompt: "ANSWER: 42") as url:
        up = f"up --detach --endpoint {url}"
        rows["up, new home"] = [timed(up, home)]
        timed("submit job.md --wait", home)
        for command in LOOKS * runs:
            rows.setdefault(command, []).append(timed(command, home))
        for _ in range(runs):
            rows.setdefault("down, idle", []).append(timed("down", home))
            rows.setdefault("up, again", []).append(timed(up, home))
        timed("down", home)
    return {name: (_median(s for s, _ in got), _median(cpu for _, cpu in got)) for name, got in rows.items()}


def _median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def shown(now: dict[str, tuple[float, float]], before: dict[str, Any]) -> Sequence[Sequence[str]]:
    """A row a command, the earlier run first."""
    rows = []
    for name, measured in now.items():
        earlier = [f"{value:.2f}" for value in before.get(name, ())] or ["-", "-"]
        rows.append([name, *earlier, *(f"{value:.2f}" for value in measured)])
    return rows


def main() -> None:
    """Measures, prints, keeps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    before = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        try:
            now = measure(home, runs)
        finally:
            subprocess.run(
                [Path(sys.executable).with_name("redraft"), "down"],
                env={**os.environ, "REDRAFT_HOME": str(home)},
                check=False,
                capture_output=True,
            )
            shutil.rmtree(Home(root=home).postgres_folder().parent, ignore_errors=True)
    KEPT.write_text(json.dumps(now, indent=1))
    print(table(("command", "s before", "CPU", "s now", "CPU"), shown(now, before)))


if __name__ == "__main__":
    main()

"""`make bench-waiting`: what vLLM on the CPU takes of a core while it waits for its worker, with and without the plugin
that lets it sleep.

Each stack in turn has an engine of its own, which is asked by a plain client for answers of one length at several
numbers of requests at once. Prints tokens a second, and the CPU seconds of the process that schedules, for each second.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
from bench_demo import processor
from figures import table
from rig import running

REQUESTS = (1, 8, 16)
TOKENS = 200
SCHEDULER = b"VLLM::EngineCore"


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="the name of a profile of vLLM on the CPU")
    parser.add_argument("--pairs", type=int, default=2)
    given = parser.parse_args()
    rows = [row for _ in range(given.pairs) for plugin in (True, False) for row in [measured(given.model, plugin)]]
    print(f"{processor()}; {given.model}, {TOKENS} tokens an answer")
    print(table(("plugin", *(f"tok/s at {n}" for n in REQUESTS), "scheduler's cores"), rows, str.rjust))


def measured(model: str, plugin: bool) -> list[str]:
    """One engine, as a row."""
    os.environ.pop("VLLM_PLUGINS", None)
    if not plugin:
        os.environ["VLLM_PLUGINS"] = "none"
    with running(model) as rig, httpx2.Client(timeout=None, trust_env=False) as client:
        address, pid = f"{rig.engine_url}/chat/completions", scheduler_below(rig.supervisor_pid)

        def ask(number: int) -> int:
            words = [{"role": "user", "content": f"Tell story {number}."}]
            asked = {"model": rig.engine.model, "messages": words, "max_tokens": TOKENS, "ignore_eos": True}
            return int(client.post(address, json=asked).raise_for_status().json()["usage"]["completion_tokens"])

        ask(0)
        rates, begun, used = [], time.monotonic(), cpu_seconds(pid)
        for requests in REQUESTS:
            started = time.monotonic()
            with ThreadPoolExecutor(requests) as pool:
                tokens = sum(pool.map(ask, range(requests)))
            rates.append(f"{tokens / (time.monotonic() - started):.1f}")
        share = (cpu_seconds(pid) - used) / (time.monotonic() - begun)
    return ["yes" if plugin else "no", *rates, f"{share:.2f}"]


def scheduler_below(ancestor: int) -> int:
    """The process that schedules, among the descendants of a process. Raises `StopIteration` where there is none."""
    return next(pid for pid in descendants(ancestor) if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(SCHEDULER))


def descendants(pid: int) -> Iterator[int]:
    """Of a process, in no order."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from descendants(child)


def cpu_seconds(pid: int) -> float:
    """Of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()

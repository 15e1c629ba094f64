"""The real llama.cpp with the real small model: killed, stopped, adopted, asked and cancelled."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tasks.errors import Cancelled, EngineFault
from tasks.heartbeat import SilentHeartbeat
from tasks.journal import NO_ADMISSION
from tasks.settings import Settings
from tasks.types import ChatRequest, Completion, Job, RequestSize
from tests.background import running
from tests.hosted import Heartbeat, Left, Started, ask, client, iteration, left_by_a_killed_worker
from tests.unit.prompts.cases import VISIBLE
from tests.unit.prompts.cases import job_of as a_job
from workers.engine.choice import choose
from workers.engine.diagnostics import explain
from workers.engine.environment import ensure_environment
from workers.engine.hardware import detect
from workers.engine.llamacpp import LlamaCpp
from workers.engine.load import EngineLoad
from workers.engine.prefill import SharedPrefill
from workers.engine.probe import fetch
from workers.engine.profiles import load_profiles
from workers.engine.record import members, read_record
from workers.engine.server import EngineServer
from workers.home import Home
from workers.packaged import ops

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


def server(home: Home) -> EngineServer:
    choice = choose("smollm2-135m-q4", detect(), load_profiles(home.root))
    cache = Settings().cache
    return EngineServer(choice, LlamaCpp(), home=home, cache=cache, say=lambda line: None, watch_seconds=0.2)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(root=tmp_path_factory.mktemp("llamacpp"))
    made.make()
    return made


@pytest.fixture(scope="module")
def left(home: Home) -> Iterator[Left]:
    with left_by_a_killed_worker("tests.integration.test_llamacpp", home) as engine:
        yield engine


@pytest.fixture(scope="module")
def engine(home: Home, left: Left) -> Iterator[EngineServer]:
    """The next worker's."""
    taken_over = server(home)
    taken_over.start()
    with running(taken_over.watch):
        yield taken_over
    taken_over.stop()


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def load(engine: EngineServer) -> EngineLoad:
    eventually(lambda: engine.load() is not None)
    found = engine.load()
    assert found is not None
    return found


def test_the_next_worker_adopts_the_engine_of_the_killed_one(engine: EngineServer, left: Left) -> None:
    assert (engine.pid, engine.url, engine.health()) == (left.pid, left.url, "ok")
    assert engine.describe().startswith(
        "llama.cpp xllamacpp 2026.10.11549 smollm2-135m-q4 weights b179c9523d0e attention "
    )


def test_it_answers_with_words_and_the_tokens_are_its_own(engine: EngineServer) -> None:
    completion = client(engine).complete(ask(max_tokens=24, temperature=0.0), Heartbeat())
    assert len(completion.text.split()) > 2
    assert 0 < completion.completion_tokens <= 24
    assert completion.prompt_tokens == client(engine).count_tokens(ask().messages)


def test_the_same_seed_gives_the_same_text_and_another_seed_another(engine: EngineServer) -> None:
    def story(seed: int) -> str:
        request = ask("Tell me a story about a fox.", max_tokens=24, seed=seed, temperature=1.0)
        return client(engine).complete(request, Heartbeat()).text

    first = story(5)
    assert story(5) == first
    assert story(6) != first


def test_a_choice_is_one_of_those_that_were_asked_for(engine: EngineServer) -> None:
    request = ask("Is the moon made of cheese?", choices=("passed", "failed"), max_tokens=16)
    assert client(engine).complete(request, Heartbeat()).text in ("passed", "failed")


def test_the_next_iteration_finds_the_prefix_that_it_shares_with_the_last(engine: EngineServer) -> None:
    job: Job = a_job(VISIBLE, problem="\n".join(f"{n}. Pump {n} feeds basin {n * 7}." for n in range(40)))
    draft, *_ = iteration(job, 1, "def pump(n):\n    return n")
    *_, revision = iteration(job, 2, "def pump(n):\n    return 7 * n")
    first, second = (
        client(engine).complete(ChatRequest(messages=tuple(messages), max_tokens=2), Heartbeat())
        for messages in (draft, revision)
    )
    assert second.cached_tokens > 0.5 * first.prompt_tokens


def test_a_second_drafter_reads_the_prompt_from_the_cache(engine: EngineServer) -> None:
    request = ask("Count the herons of the lake. " * 40, max_tokens=2)
    first, second = (client(engine).complete(request, Heartbeat()) for _ in range(2))
    assert first.prompt_tokens > 200
    assert second.cached_tokens == second.prompt_tokens - 1


def test_drafts_that_are_sent_together_share_one_prefill(engine: EngineServer, home: Home) -> None:
    # On a busy machine a copy may come too late, which costs no more than the sharing.
    tries = (shared_drafts(engine, bird) for bird in ("swans", "ducks", "terns"))
    tokens, drafts = next((made for made in tries if is_shared(*made)), (0, []))
    assert is_shared(tokens, drafts)
    assert len({draft.text for draft in drafts}) > 1
    assert not list(home.run.glob("prompt-*"))


def is_shared(tokens: int, drafts: Sequence[Completion]) -> bool:
    """Whether each draft found its prompt of `tokens` tokens in the cache."""
    return [draft.cached_tokens for draft in drafts] == [tokens - 1] * 4


def shared_drafts(engine: EngineServer, bird: str) -> tuple[int, list[Completion]]:
    """The tokens of a prompt, and four drafts that are sent together with it."""
    request = ask(f"Count the {bird} of the lake. " * 60, max_tokens=24, temperature=1.0)
    tokens = client(engine).count_tokens(request.messages)
    assert engine.slots is not None
    admission = SharedPrefill(NO_ADMISSION, engine.slots)
    size = RequestSize(messages=request.messages, prompt_tokens=tokens, completion_tokens=24, together=4)

    def draft(seed: int) -> Completion:
        with admission.admit(size, SilentHeartbeat()):
            return client(engine).complete(replace(request, seed=seed), Heartbeat())

    with ThreadPoolExecutor(4) as pool:
        return tokens, list(pool.map(draft, range(4)))


def test_a_cancelled_answer_leaves_its_slot_at_once(engine: EngineServer) -> None:
    with pytest.raises(Cancelled):
        client(engine).complete(ask("Write a very long story.", max_tokens=3000), Heartbeat(most=5))
    eventually(lambda: load(engine).running == 0, 10)


def test_its_load_is_what_it_holds(engine: EngineServer) -> None:
    before = load(engine)
    client(engine).complete(ask(max_tokens=4), Heartbeat())
    after = load(engine)
    assert (after.block_tokens, after.kv_blocks >= 4096, after.waiting) == (1, True, 0)
    assert after.tokens > before.tokens
    assert after.steps > before.steps


def test_it_reports_while_others_wait_for_more_answers_than_it_has_slots(engine: EngineServer) -> None:
    address = urlsplit(engine.url)
    body = (
        b'{"model": "x", "messages": [{"role": "user", "content": "Tell a story."}], "max_tokens": 400, "stream": true}'
    )
    head = f"POST {address.path}/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with ExitStack() as connections:
        for _ in range(40):
            connection = connections.enter_context(socket.create_connection((address.hostname, address.port)))
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: load(engine).waiting > 10)
        fetch(f"{engine.url.removesuffix('/v1')}/health")
    eventually(lambda: load(engine).running == 0)


def restarted(engine: EngineServer, home: Home, sent: signal.Signals) -> None:
    """Sends a signal to the engine while it streams, and waits until another one answers at its address."""
    before, url = read_record(home), engine.url
    assert before is not None
    family = members(before.process)
    with ThreadPoolExecutor(1) as pool:
        started = threading.Event()
        answer = pool.submit(client(engine).complete, ask("Tell a very long story.", max_tokens=3000), Started(started))
        assert started.wait(60)
        os.kill(before.pid, sent)
        with pytest.raises(EngineFault):
            answer.result(timeout=120)
    eventually(lambda: engine.ready and engine.pid not in (before.pid, None), 120)
    assert engine.url == url
    assert not psutil.wait_procs(family, timeout=10)[1]
    client(engine).complete(ask(max_tokens=4), Heartbeat())


def test_one_that_is_killed_while_it_streams_is_started_again(engine: EngineServer, home: Home) -> None:
    restarted(engine, home, signal.SIGKILL)


@pytest.mark.slow
def test_one_that_stands_still_is_noticed_and_started_again(engine: EngineServer, home: Home) -> None:
    restarted(engine, home, signal.SIGSTOP)


def test_stop_leaves_no_process(home: Home, engine: EngineServer) -> None:
    record = read_record(home)
    assert record is not None
    family = members(record.process)
    engine.stop()
    assert not psutil.wait_procs(family, timeout=10)[1]
    assert engine.health() == "down"
    assert not (home.run / "engine.json").exists()


@pytest.fixture(scope="module")
def launcher() -> list[str]:
    python = ensure_environment("llama.cpp", Settings().cache, lambda line: None)
    return [str(python), str(ops("engine") / "llama_server.py")]


@pytest.mark.parametrize(
    ("content", "flags", "why"),
    [
        (b"no GGUF at all", (), "the weights are no GGUF"),
        (b"GGUF\x03\x00\x00\x00 and no more", (), "llama.cpp can't read the model"),
        (b"", ("--no-such-flag",), "does not know a flag"),
    ],
)
def test_what_it_cannot_serve_ends_it_with_the_reason(
    launcher: list[str], tmp_path: Path, content: bytes, flags: tuple[str, ...], why: str
) -> None:
    model = tmp_path / "broken.gguf"
    model.write_bytes(content)
    ended = subprocess.run(
        [*launcher, "-m", str(model), "--port", "0", *flags], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode != 0
    assert why in explain(ended.stderr, exit_code=ended.returncode)

"""The real vLLM on the CPU with the real small model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tasks.errors import Cancelled
from tasks.llm.chat import OpenAIChatModel
from tasks.settings import Settings
from tasks.types import ChatRequest, Message
from workers.engine.hardware import Hardware, choose
from workers.engine.probe import CANARY
from workers.engine.profiles import load_profiles
from workers.engine.server import EngineServer
from workers.local.home import Home

# The CPU engine caches whole blocks of this many tokens, and never the last one.
BLOCK_TOKENS = 128

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]


class Pulse:
    """Counts tokens; stops the step after `most`."""

    def __init__(self, most: int = 10_000) -> None:
        self.tokens, self.most = 0, most

    def beat(self, tokens: int = 0) -> None:
        self.tokens += tokens

    def expect_silence(self, seconds: float) -> None: ...

    def check(self) -> None:
        if self.tokens >= self.most:
            raise Cancelled("enough")


def server(home: Home) -> EngineServer:
    choice = choose("smollm2-135m", Hardware(), load_profiles(home.root))
    return EngineServer(choice, home=home, cache=Settings().cache, say=lambda line: None)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = Home(root=tmp_path_factory.mktemp("engine"))
    made.make()
    return made


@pytest.fixture(scope="module")
def engine(home: Home) -> Iterator[EngineServer]:
    running = server(home)
    running.start()
    yield running
    running.stop()


def client(engine: EngineServer) -> OpenAIChatModel:
    return OpenAIChatModel(
        base_url=engine.url,
        model=engine.model,
        api_key="none",
        context_tokens=4096,
        first_token_seconds=120,
        token_silence_seconds=60,
        extra={},
        engine="test",
    )


def ask(text: str = CANARY, **fields: object) -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", content=text),), **fields)  # type: ignore[arg-type]


def metric(engine: EngineServer, name: str) -> float:
    import urllib.request

    with urllib.request.urlopen(engine.url.removesuffix("/v1") + "/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))


def test_it_answers_with_words_and_counts_its_tokens(engine: EngineServer) -> None:
    made = client(engine).complete(ask(max_tokens=24, temperature=0.0), Pulse())
    assert engine.ready
    assert len(made.text.split()) > 2
    assert 0 < made.completion_tokens <= 24
    assert made.prompt_tokens == client(engine).count_tokens(ask().messages)


def test_the_same_seed_gives_the_same_text_and_a_shared_prefix_is_cached(engine: EngineServer) -> None:
    long = ask("Tell me about " + "rivers and lakes, mountains and seas, " * 40, max_tokens=16, seed=5)
    first, second = (client(engine).complete(long, Pulse()) for _ in range(2))
    assert first.text == second.text
    assert second.cached_tokens >= second.prompt_tokens - 2 * BLOCK_TOKENS


def test_a_cancelled_request_is_aborted_at_the_engine(engine: EngineServer) -> None:
    with pytest.raises(Cancelled):
        client(engine).complete(ask("Write a very long story.", max_tokens=3000), Pulse(most=5))
    deadline = time.monotonic() + 10
    while metric(engine, "vllm:num_requests_running") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert metric(engine, "vllm:num_requests_running") == 0


def test_a_worker_that_comes_after_a_killed_one_adopts_the_engine(engine: EngineServer, home: Home) -> None:
    heir = server(home)
    heir.start()
    assert (heir.pid, heir.url) == (engine.pid, engine.url)
    assert heir.ready
    heir._stopping.set()


def test_stop_leaves_no_process(home: Home, engine: EngineServer, tmp_path: Path) -> None:
    assert engine.pid is not None
    family = [psutil.Process(engine.pid), *psutil.Process(engine.pid).children(recursive=True)]
    engine.stop()
    assert not psutil.wait_procs(family, timeout=10)[1]
    assert not (home.run / "engine.json").exists()

"""What the bench says that the guard saves: against a tiny endpoint that loops, counts its tokens and streams."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.standin import serve

OPS = Path(__file__).parents[2] / "ops"
WORDS = 400


class Engine:
    """Loops at temperature 0 where the prompt has an even length, and says a sentence otherwise. A word is a token."""

    def __init__(self) -> None:
        self.url, self.made = "", 0

    def handler(self) -> type[serve.Handler]:
        """Of its server."""
        engine = self

        class Handler(serve.Handler):
            def do_GET(self) -> None:
                self.send(f'vllm:generation_tokens_total{{model_name="tiny"}} {engine.made}.0\n'.encode())

            def do_POST(self) -> None:
                body = self.asked()
                loops = body["temperature"] == 0 and len(body["messages"][-1]["content"]) % 2 == 0
                words = ["so ", "it ", "goes ", "on. "] * (WORDS // 4) if loops else ["A ", "short ", "answer."]
                finish = "length" if loops else "stop"
                if body.get("stream"):
                    self._stream(words, finish)
                    return
                engine.made += len(words)
                choice = {"message": {"content": "".join(words)}, "finish_reason": finish}
                self.send({"choices": [choice], "usage": {"completion_tokens": len(words)}})

            def _stream(self, words: list[str], finish: str) -> None:
                self.begin()
                with contextlib.suppress(OSError):  # the guard hung up
                    for word in words:
                        engine.made += 1
                        self.word(word)
                    self.word(finish=finish)
                    self.end()

        return Handler


@pytest.fixture
def engine() -> Iterator[Engine]:
    running = Engine()
    with serve.serving(running.handler()) as root:
        running.url = f"{root}/v1"
        yield running


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("savings")


def test_a_loop_costs_less_with_the_guard_and_another_answer_as_much(bench: ModuleType, engine: Engine) -> None:
    heads, rows = bench.savings(engine.url, "tiny", 12, 500)
    assert all(len(row) == len(heads) for row in rows)
    looping, other, both, counted = (dict(zip(heads, row, strict=True)) for row in rows)
    loops = int(looping["prompts"])
    assert 0 < loops < 12
    assert loops + int(other["prompts"]) == int(both["prompts"]) == 12
    assert looping["tokens off"] == f"{loops * WORDS:,}"
    assert 0 < int(looping["all calls on"].replace(",", "")) < loops * WORDS / 2
    assert int(looping["calls on"]) == 2 * loops  # warmer, the engine answers
    assert (looping["sound off"], looping["sound on"]) == ("0", str(loops))
    assert other["tokens off"] == other["first call on"] == other["all calls on"]
    assert other["saved"] == "0%"
    assert counted["tokens off"] == both["tokens off"]

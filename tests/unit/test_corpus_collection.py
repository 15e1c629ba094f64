"""`ops/corpus.py` against a tiny endpoint: what it asks, what it keeps, and that it goes on where it was."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.corpus.collected import collected, read
from tests.corpus.label import Label
from tests.standin import serve

OPS = Path(__file__).parents[2] / "ops"


@dataclass
class Endpoint:
    """Loops at temperature 0, answers in few words otherwise, and notes every request."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    running = Endpoint()

    class Handler(serve.Handler):
        def do_POST(self) -> None:
            body = self.asked()
            running.asked.append(body)
            loops = body["temperature"] == 0
            said = "It is so. " * 200 if loops else f"An answer to {body['messages'][-1]['content']}"
            choice = {"message": {"content": said}, "finish_reason": "length" if loops else "stop"}
            self.send({"choices": [choice]}, 200 if self.path == "/v1/chat/completions" else 404)

    with serve.serving(Handler) as root:
        running.url = f"{root}/v1"
        yield running


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("corpus")


def test_loops_are_collected_with_what_was_asked_and_few_ordinary_answers(
    corpus: ModuleType, endpoint: Endpoint, tmp_path: Path
) -> None:
    given = ["--endpoint", endpoint.url, "--model", "tiny", "--folder", str(tmp_path)]
    corpus.main([*given, "--loops", "15", "--ordinary", "7"])
    rows = read(tmp_path / "report" / "tiny.jsonl.gz")
    labels = [label for label, _ in collected(tmp_path)]
    assert 15 <= labels.count(Label.LOOP) <= 24  # what was in flight comes too
    assert [row["label"] for row in rows] == labels
    assert labels.count(Label.ORDINARY) == 7
    assert set(rows[0]) >= {"model", "kind", "prompt", "system", "temperature", "seed", "text", "finish_reason"}
    settings = {(body["temperature"], body["messages"][0]["role"]) for body in endpoint.asked}
    assert settings == {(t, role) for t in (0.0, 0.8) for role in ("user", "system")}
    assert all("repetition_detection" not in body for body in endpoint.asked)


def test_a_further_run_goes_on_where_the_last_one_was(corpus: ModuleType, endpoint: Endpoint, tmp_path: Path) -> None:
    given = ["--endpoint", endpoint.url, "--model", "tiny", "--ordinary", "100", "--folder", str(tmp_path)]
    corpus.main([*given, "--loops", "20"])
    corpus.main([*given, "--loops", "40"])
    rows = read(tmp_path / "report" / "tiny.jsonl.gz")
    assert len(rows) == len(endpoint.asked) >= 80
    assert len({(r["prompt"], r["system"], r["temperature"]) for r in rows}) == len(rows)


def test_too_few_loops_are_said_and_kept(corpus: ModuleType, endpoint: Endpoint, tmp_path: Path) -> None:
    given = ["--endpoint", endpoint.url, "--model", "tiny", "--folder", str(tmp_path)]
    with pytest.raises(SystemExit, match="only 20 loops"):
        corpus.main([*given, "--loops", "50", "--requests", "40"])
    assert len(read(tmp_path / "report" / "tiny.jsonl.gz")) == 40


def test_no_prompt_is_in_both_halves(corpus: ModuleType, endpoint: Endpoint, tmp_path: Path) -> None:
    given = ["--endpoint", endpoint.url, "--model", "tiny", "--folder", str(tmp_path), "--loops", "20"]
    corpus.main([*given, "--half", "tune"])
    corpus.main([*given, "--half", "report"])
    halves = {sample.half: set[str]() for _, sample in collected(tmp_path)}
    for half, prompts in halves.items():
        prompts |= {row["prompt"] for row in read(tmp_path / half / "tiny.jsonl.gz")}
    assert halves.keys() == {"tune", "report"}
    assert not halves["tune"] & halves["report"]


def test_an_end_that_is_ignored_is_asked_for_and_is_another_answer(
    corpus: ModuleType, endpoint: Endpoint, tmp_path: Path
) -> None:
    given = ["--endpoint", endpoint.url, "--model", "tiny", "--folder", str(tmp_path), "--temperature", "0", "--long"]
    corpus.main([*given, "--loops", "20"])
    assert all("ignore_eos" not in body for body in endpoint.asked)
    corpus.main([*given, "--loops", "60", "--ignore-end"])
    assert {body["temperature"] for body in endpoint.asked} == {0.0}
    assert endpoint.asked[-1]["ignore_eos"] is True
    rows = read(tmp_path / "report" / "tiny.jsonl.gz")
    assert {row["kind"] for row in rows} >= {"list", "proof", "table", "steps"}
    assert len(rows) == len(endpoint.asked)
    kinds = {sample.kind for _, sample in collected(tmp_path)}
    assert kinds == {"tiny at 0", "tiny at 0, system", "tiny at 0, no end", "tiny at 0, no end, system"}


def test_only_the_kinds_that_were_named_are_asked_for(corpus: ModuleType, endpoint: Endpoint, tmp_path: Path) -> None:
    given = ["--endpoint", endpoint.url, "--model", "tiny", "--folder", str(tmp_path), "--loops", "10"]
    corpus.main([*given, "--kind", "poem", "--kind", "log"])
    assert {row["kind"] for row in read(tmp_path / "report" / "tiny.jsonl.gz")} == {"poem", "log"}
    with pytest.raises(SystemExit, match="--kind: no prompt asks for poem with --long"):
        corpus.main([*given, "--long", "--kind", "poem"])

"""What is asked beyond a pool is answered once, and found again without an engine."""

from __future__ import annotations

import dataclasses
import lzma
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.errors import InvalidInput
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.ports import Heartbeat
from tasks.types import ChatRequest, CheckSpec, GuardKind, Message, Verdict
from workers.bench.asked import Kept, KeptChecks, KeptModel

REQUEST = ChatRequest(messages=(Message(role="user", content="Say it."),), seed=1)
CHECK = CheckSpec(name="answer", kind="answer", value="1")
HIDDEN = CheckSpec(name="answer", kind="answer", value="1", held_out=True)


class Counted:
    """Implements `Checks`: passes everything, and counts what was run."""

    def __init__(self) -> None:
        self.runs = 0

    def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Heartbeat) -> tuple[Verdict, ...]:
        self.runs += 1
        return tuple(Verdict(check=c.name, kind=c.kind, passed=True, score=1.0, held_out=c.held_out) for c in checks)

    def behaviour(
        self, candidate: str, checks: Sequence[CheckSpec], inputs: Sequence[str], heartbeat: Heartbeat
    ) -> str | None:
        self.runs += 1
        return f"{candidate} {' '.join(inputs)}" if inputs else None


def model(path: Path, engine: ScriptedModel | None) -> KeptModel:
    return KeptModel(Kept(path), engine, name="scripted", context_tokens=100)


@pytest.mark.parametrize("text", ["fine", "Again. " * 50])
def test_an_answer_is_kept_with_its_guard(tmp_path: Path, text: str) -> None:
    path = tmp_path / "asked.jsonl"
    first = model(path, ScriptedModel(lambda request: text)).complete(REQUEST, SilentHeartbeat())
    again = model(path, None).complete(REQUEST, SilentHeartbeat())
    assert (again.text, again.finish_reason, again.completion_tokens, again.prompt_tokens) == (
        first.text, first.finish_reason, first.completion_tokens, first.prompt_tokens,
    )  # fmt: skip
    assert (again.guard and again.guard.kind) == (first.guard and first.guard.kind)
    assert (again.guard is None) is (text == "fine")
    assert again.guard is None or again.guard.kind is GuardKind.CYCLE


def test_without_an_engine_an_unknown_request_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "asked.jsonl"
    model(path, ScriptedModel(lambda request: "fine")).complete(REQUEST, SilentHeartbeat())
    other = ChatRequest(messages=REQUEST.messages, seed=2)
    with pytest.raises(InvalidInput, match="--endpoint"):
        model(path, None).complete(other, SilentHeartbeat())


def test_an_answer_within_a_larger_limit_serves_smaller_ones_and_is_cut_to_them(tmp_path: Path) -> None:
    asked = list[int]()

    def answer(request: ChatRequest) -> str:
        asked.append(request.max_tokens)
        return "one two three four"

    kept = KeptModel(Kept(tmp_path / "a"), ScriptedModel(answer), name="m", context_tokens=100, limits=(20, 40))
    tokens = [*range(1, 21), 50]
    answers = {n: kept.complete(dataclasses.replace(REQUEST, max_tokens=n), SilentHeartbeat()) for n in tokens}
    assert asked == [20, 50]
    whole = answers[20].completion_tokens
    assert 1 < whole < 20
    assert {n: (one.text, one.finish_reason) for n, one in answers.items() if n >= whole} == {
        n: ("one two three four", "stop") for n in tokens if n >= whole
    }
    for n in range(1, whole):
        assert "one two three four".startswith(answers[n].text)
        assert len(answers[n].text) < len("one two three four")
        assert (answers[n].completion_tokens, answers[n].finish_reason) == (n, "length")


def test_what_is_packaged_beside_it_is_known_and_left_as_it_is(tmp_path: Path) -> None:
    path, packaged = tmp_path / "asked.jsonl", tmp_path / "asked.jsonl.xz"
    model(path, ScriptedModel(lambda request: "fine")).complete(REQUEST, SilentHeartbeat())
    packaged.write_bytes(lzma.compress(path.read_bytes()))
    path.unlink()
    before, other = packaged.read_bytes(), ChatRequest(messages=REQUEST.messages, seed=2)
    both = model(path, ScriptedModel(lambda request: "new"))
    assert [both.complete(request, SilentHeartbeat()).text for request in (REQUEST, other)] == ["fine", "new"]
    assert packaged.read_bytes() == before
    assert path.read_text().count("\n") == 1
    again = model(path, None)
    assert [again.complete(request, SilentHeartbeat()).text for request in (REQUEST, other)] == ["fine", "new"]


def test_a_verdict_is_kept_for_these_checks_alone(tmp_path: Path) -> None:
    path, checks = tmp_path / "asked.jsonl", Counted()
    for _ in range(2):
        kept = KeptChecks(kept=Kept(path), checks=checks)  # type: ignore[arg-type]
        assert kept.validate("x", (CHECK,), SilentHeartbeat())[0].held_out is False
        assert kept.validate("x", (HIDDEN,), SilentHeartbeat())[0].held_out is True
    assert checks.runs == 2


def test_a_behaviour_is_kept_for_these_inputs_alone(tmp_path: Path) -> None:
    path, checks = tmp_path / "asked.jsonl", Counted()
    for _ in range(2):
        kept = KeptChecks(kept=Kept(path), checks=checks)  # type: ignore[arg-type]
        assert kept.behaviour("x", (CHECK,), ("f(1)",), SilentHeartbeat()) == "x f(1)"
        assert kept.behaviour("x", (CHECK,), ("f(2)",), SilentHeartbeat()) == "x f(2)"
    assert checks.runs == 2
    assert kept.behaviour("x", (CHECK,), (), SilentHeartbeat()) is None
    assert checks.runs == 3, "what needs no run is not kept"


def test_what_several_ask_at_once_is_asked_once(tmp_path: Path) -> None:
    asked = list[ChatRequest]()

    def answer(request: ChatRequest) -> str:
        asked.append(request)
        return "fine"

    kept = model(tmp_path / "asked.jsonl", ScriptedModel(answer, delay_seconds=0.05))
    with ThreadPoolExecutor(max_workers=8) as pool:
        texts = [
            completion.text for completion in pool.map(lambda _: kept.complete(REQUEST, SilentHeartbeat()), range(8))
        ]
    assert (texts, len(asked)) == (["fine"] * 8, 1)

"""Votes on planted pairs: cast as a job's are, kept in a file that outlives any kill, and counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.errors import EngineFault, InvalidInput
from tasks.llm.scripted import ScriptedModel
from tasks.prompts.judging import DIGEST, JUDGE_PROMPTS
from tasks.sampling import Sampling
from tasks.types import ChatRequest
from workers.bench import lines
from workers.bench.judges import JudgeBench
from workers.bench.planted import PlantedPair
from workers.bench.votes import Measurement, begin, new_header, read_measurement

VOTES = len(JUDGE_PROMPTS)


def pair(number: int, kind: str = "numbers") -> PlantedPair:
    return PlantedPair(
        name=f"sum/{number}",
        kind=kind,
        title="sum",
        problem=f"What is {number} + {number}?",
        right=f"ANSWER: {2 * number}.",
        wrong=f"ANSWER: {2 * number + 1}!",
        change="a figure",
    )


def measurement(path: Path, pairs: int) -> Measurement:
    found = begin(path, new_header("scripted", "e", 0))
    for number in range(pairs):
        if number >= len(found.pairs):
            lines.append(path, pair(number))
    return begin(path, new_header("scripted", "e", 0))


def cast(path: Path, answer: Callable[[ChatRequest], str], pairs: int = 4, **options: float) -> Measurement:
    model = ScriptedModel(answer, delay_seconds=options.get("delay", 0.0))
    bench = JudgeBench(path=path, model=model, sampling=Sampling(review_tokens=64))
    return bench.cast(
        measurement(path, pairs),
        pairs=pairs,
        parallel=2,
        seconds=options.get("seconds"),
        progress=lambda done, total: None,
    )


def knowing(request: ChatRequest) -> str:
    """Finds every error."""
    prompt = request.messages[-1].content
    if request.choices:
        return "FAIL" if "is wrong" in prompt.partition("# What a reviewer reports")[2] else "PASS"
    answer = prompt.partition("# The answer")[2].partition("```")[2].strip()
    return f"- `{answer.splitlines()[0]}` is wrong" if "!" in answer.splitlines()[0] else "NO PROBLEMS"


def approving(request: ChatRequest) -> str:
    return "PASS" if request.choices else "NO PROBLEMS"


def test_a_judge_that_knows_passes_the_right_and_fails_the_wrong(tmp_path: Path) -> None:
    rates = cast(tmp_path / "v.jsonl", knowing).rates()
    assert rates is not None
    assert (rates.prompts, rates.cases) == (DIGEST, {"numbers": 4})
    assert [(p.right.passed, p.wrong.passed, p.right.cases) for p in rates.panel] == [(4, 0, 4)] * VOTES
    votes = rates.judge_prompts["correctness"]
    assert (votes.right.passed, votes.wrong.passed, votes.invalid) == (4, 0, 0)
    assert votes.completion_tokens > 0
    assert votes.prompt_tokens > 8 * 50


def test_a_judge_that_approves_of_all_carries_no_information(tmp_path: Path) -> None:
    rates = cast(tmp_path / "v.jsonl", approving).rates()
    assert rates is not None
    assert all(p.wrong.passed == p.right.passed == 4 for p in rates.panel)
    assert not any(p.informs for p in rates.panel)


def test_an_invalid_vote_passes_nothing_and_leaves_its_place_to_the_next_prompt(tmp_path: Path) -> None:
    found = cast(tmp_path / "v.jsonl", approving, pairs=1)
    key = ("sum/0", True, "correctness")
    found.votes[key] = found.votes[key].model_copy(update={"passed": None})
    counted = found.rates()
    assert counted is not None
    assert counted.judge_prompts["correctness"].invalid == 1
    assert [p.right.passed for p in counted.panel] == [1] * (VOTES - 1) + [0]


def test_only_pairs_with_every_vote_are_counted(tmp_path: Path) -> None:
    found = cast(tmp_path / "v.jsonl", knowing, pairs=2)
    del found.votes["sum/1", False, "reader"]
    rates = found.rates()
    assert rates is not None
    assert rates.cases == {"numbers": 1}
    assert Measurement(header=found.header, pairs=found.pairs, votes={}).rates() is None


def test_what_is_cast_is_never_cast_again(tmp_path: Path) -> None:
    asked = list[str]()

    def counting(request: ChatRequest) -> str:
        asked.append(request.messages[-1].content)
        return knowing(request)

    path = tmp_path / "v.jsonl"
    whole = cast(path, counting)
    first = len(asked)
    assert cast(path, counting).rates() == whole.rates()
    assert len(asked) == first
    cast(path, counting, pairs=5)
    assert len(asked) == first + first // 4


def test_a_run_that_is_killed_at_any_line_goes_on_to_the_same_rates(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    whole = cast(path, knowing, pairs=1).rates()
    content = path.read_bytes()
    for end in (*range(0, len(content), 97), len(content) - 1):
        cut = tmp_path / f"{end}.jsonl"
        cut.write_bytes(content[:end])
        assert cast(cut, knowing, pairs=1).rates() == whole


def test_an_engine_that_fails_loses_no_vote(tmp_path: Path) -> None:
    path, calls = tmp_path / "v.jsonl", threading.Lock()
    left = [20]

    def failing(request: ChatRequest) -> str:
        with calls:
            left[0] -= 1
            if left[0] < 0:
                raise EngineFault("gone")
        return knowing(request)

    with pytest.raises(EngineFault, match="gone"):
        cast(path, failing)
    found = read_measurement(path)
    assert found is not None
    assert 8 <= len(found.votes) <= 10
    assert cast(path, knowing).rates() is not None


def test_its_time_is_kept_to_and_what_was_cast_by_then_stays(tmp_path: Path) -> None:
    begun = time.monotonic()
    found = cast(tmp_path / "v.jsonl", knowing, pairs=40, delay=0.02, seconds=1.0)
    assert 0 < len(found.votes) < 2 * VOTES * 40
    assert time.monotonic() - begun < 60
    kept = read_measurement(tmp_path / "v.jsonl")
    assert kept is not None
    assert kept.votes == found.votes


def test_another_models_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    begin(path, new_header("scripted", "e", 0))
    with pytest.raises(InvalidInput, match="its model is scripted"):
        begin(path, new_header("another", "e", 0))
    with pytest.raises(InvalidInput, match="its seed is 0"):
        begin(path, new_header("scripted", "e", 1))


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text('{"row": "pool"}\n')
    with pytest.raises(InvalidInput, match="line 1"):
        read_measurement(path)
    path.write_text(pair(1).model_dump_json() + "\n")
    with pytest.raises(InvalidInput, match="header"):
        read_measurement(path)
    assert read_measurement(tmp_path / "none.jsonl") is None

"""The pools that come with the source: they can be read, and they are complete as far as they go."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from pathlib import Path

import pytest

from workers.bench.carwash import carwash
from workers.bench.humaneval import NUMBERS
from workers.bench.pool import read_pool

POOLS = sorted(path for path in Path("tests/pools").glob("*.jsonl.xz") if not path.name.endswith(".asked.jsonl.xz"))


TASKS = {
    "humaneval": {f"HumanEval/{number}" for number in NUMBERS},
    "carwash": {task.name for task in carwash().tasks},
}


def test_there_are_two() -> None:
    names = ["carwash-qwen2.5-coder-1.5b-q4.jsonl.xz", "humaneval-qwen2.5-coder-1.5b.jsonl.xz"]
    assert [path.name for path in POOLS] == names


@pytest.mark.parametrize("path", POOLS, ids=lambda path: path.name)
def test_every_draft_has_its_verdicts_and_is_of_its_set(path: Path) -> None:
    pool = read_pool(path)
    assert {task for task, _ in pool.drafts} <= TASKS[pool.header.set], "of HumanEval the first half alone"
    for draft in pool.drafts.values():
        assert draft.checked
        assert draft.guard is not None or (draft.visible and draft.scoring)
        assert (draft.temperature == 0) is (draft.draft == 0)
        assert 0 < draft.completion_tokens <= pool.header.sampling.max_tokens


def test_what_is_asked_beyond_a_pool_is_packaged_once_each_and_of_its_model() -> None:
    path = Path("tests/pools/humaneval-qwen2.5-coder-1.5b.asked.jsonl.xz")
    rows = [json.loads(line) for line in lzma.decompress(path.read_bytes()).splitlines()]
    assert len({row["digest"] for row in rows}) == len(rows)
    asked = [row for row in rows if row["kind"] == "answer"]
    assert all(row["digest"].startswith("qwen2.5-coder-1.5b ") for row in asked)
    assert len(asked) > 60, "calls for most of the 82 tasks"
    assert {row["kind"] for row in rows} == {"answer", "behaviour"}


def test_what_a_choice_among_the_drafts_that_pass_can_win_is_as_the_measured_page_counts_it() -> None:
    passing: dict[str, list[bool]] = {f"HumanEval/{number}": [] for number in NUMBERS}
    for (task, _), draft in read_pool(Path("tests/pools/humaneval-qwen2.5-coder-1.5b.jsonl.xz")).drafts.items():
        if draft.guard is None and all(verdict.passed for verdict in draft.visible or ()):
            passing[task].append(draft.right)
    mixed = [right for right in passing.values() if set(right) == {True, False}]
    alike = Counter(str(set(right)) for right in passing.values() if right not in mixed)
    assert alike == {"{True}": 66, "{False}": 2, "set()": 1}
    assert sum(2 * sum(right) > len(right) for right in mixed) == 10
    assert sorted((sum(r), len(r) - sum(r)) for r in mixed if 2 * sum(r) < len(r)) == [(2, 6), (3, 4), (3, 8)]

"""The pool that comes with the source: it can be read, and it is complete as far as it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.bench.humaneval import NUMBERS
from workers.bench.pool import read_pool

POOLS = sorted(Path("tests/pools").glob("*.jsonl.xz"))


def test_there_is_one() -> None:
    assert [path.name for path in POOLS] == ["humaneval-qwen2.5-coder-1.5b.jsonl.xz"]


@pytest.mark.parametrize("path", POOLS, ids=lambda path: path.name)
def test_every_draft_has_its_verdicts_and_is_of_the_first_half(path: Path) -> None:
    pool = read_pool(path)
    assert pool.header.set == "humaneval"
    assert {task for task, _ in pool.drafts} <= {f"HumanEval/{number}" for number in NUMBERS}
    for draft in pool.drafts.values():
        assert draft.checked
        assert draft.guard is not None or (draft.visible and draft.scoring)
        assert (draft.temperature == 0) is (draft.draft == 0)
        assert 0 < draft.completion_tokens <= pool.header.sampling.max_tokens

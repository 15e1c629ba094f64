"""Strategies on all tasks of a set, from a pool, with several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import InvalidInput
from tasks.ports import ChatModel, Checks, Strategy
from tasks.sampling import Sampling
from workers.bench.asked import Kept, KeptChecks, KeptModel
from workers.bench.deck import Deck, Terms
from workers.bench.pool import GREEDY, Pool, read_pool
from workers.bench.record import prompts_digest
from workers.bench.replay import play
from workers.bench.runs import Run
from workers.bench.tasks import TaskSet

# Of a model whose engine is away: prompts that it answered before are shortened as they were then.
CONTEXT_TOKENS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared on which tasks; `left_out` names tasks without a greedy and a drawn draft that are checked."""

    pool: Pool
    decks: tuple[Deck, ...]
    left_out: tuple[str, ...]

    def run(
        self, strategies: Sequence[Strategy], *, seeds: int, parallel: int, progress: Callable[[int, int], None]
    ) -> tuple[Run, ...]:
        """Every strategy on every task with every seed; `parallel` of them at once, which helps where an engine is
        asked."""
        wanted = [(deck, strategy, seed) for strategy in strategies for seed in range(seeds) for deck in self.decks]
        runs: list[Run] = []
        with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="run") as executor:
            futures = [executor.submit(play, deck, strategy, seed) for deck, strategy, seed in wanted]
            try:
                for future in futures:
                    runs.append(future.result())
                    progress(len(runs), len(wanted))
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                raise
        return tuple(runs)


def open_pool(
    path: Path,
    tasks: TaskSet,
    terms: Terms,
    *,
    checks: Checks,
    engine: ChatModel | None = None,
    limit: int | None = None,
) -> Comparison:
    """The pool of a set, or of its first `limit` tasks; `engine` serves its model, where there is one. Raises
    `InvalidInput` where the pool is of another set, of other prompts or another model."""
    pool = read_pool(path)
    header = pool.header
    if header.prompts != prompts_digest(tasks):
        raise InvalidInput("--pool", str(path), f"a pool of the set {tasks.name}, with the prompts of this version")
    if engine is not None and engine.name != header.model:
        raise InvalidInput("--endpoint", engine.name, f"a server of the pool's model, {header.model}")
    kept = Kept(beside(path))
    sampling = Sampling(
        temperature=header.sampling.temperature,
        top_p=header.sampling.top_p,
        top_k=header.sampling.top_k,
        answer_tokens=header.sampling.max_tokens,
        review_tokens=header.sampling.max_tokens // 2,
    )
    limits = (sampling.review_tokens, sampling.answer_tokens)
    model = KeptModel(kept, engine, name=header.model, context_tokens=CONTEXT_TOKENS, limits=limits)
    decks = [
        Deck(
            task=task,
            pool=pool,
            terms=terms,
            model=model,
            checks=KeptChecks(kept=kept, checks=checks),
            sampling=sampling,
        )
        for task in tasks.tasks[:limit]
    ]
    usable = [deck for deck in decks if _is_usable(deck)]
    if not usable:
        raise InvalidInput("--pool", str(path), "a pool with at least one task that has its drafts and their verdicts")
    left_out = tuple(deck.task.name for deck in decks if deck not in usable)
    return Comparison(pool=pool, decks=tuple(usable), left_out=left_out)


def beside(pool: Path) -> Path:
    """The file with what was asked beyond a pool's drafts."""
    return pool.with_name(f"{pool.name.removesuffix('.xz').removesuffix('.jsonl')}.asked.jsonl")


def _is_usable(deck: Deck) -> bool:
    numbers = {draft.draft for draft in deck.drafts}
    return GREEDY in numbers and len(numbers) > 1

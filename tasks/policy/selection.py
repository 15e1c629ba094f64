"""Which members of a population are changed next, and which others their authors are shown. Pure: chance is a function
of the job's seed, the iteration and the slot."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.policy.population import Island, ranked
from tasks.policy.similarity import similarity
from tasks.types import Candidate, CandidateRef

# What the weight of a rank is multiplied by for the next one: seven of ten choices are the best. With 0.5 a climb on
# one hill took more than twice as long, and rugged ones gained nothing by it (tests/landscapes.py).
NEXT_RANK = 0.3
# The share of an iteration's slots that change the best member of the best island, where there are several slots: with
# none a wide iteration climbed one hill more slowly, for what is changed most gives way (ops/measured/loop.md).
BEST_SHARE = 0.5
# Of the inspirations of one move: the best ones, and those that are least like them.
BEST = 2
DIVERSE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Draws parents for the slots of one iteration. `tried` counts what was made of each candidate before: a weight
    falls with it, so that a parent of which much was made in vain gives way (ShinkaEvolve, arXiv 2509.19349)."""

    seed: int
    iteration: int
    tried: Counter[CandidateRef]

    def parents(self, islands: Sequence[Island], slots: int, young: frozenset[CandidateRef]) -> Sequence[Candidate]:
        """One parent a slot: for a share of them the best of all, unless an island is young. For the others first an
        island by its rank, then a member of it by rank and novelty; the islands of the roots `young` weigh as much as
        the best."""
        tried, chosen = self.tried.copy(), []
        by_rank = [1.0 if island[0].root in young else NEXT_RANK**rank for rank, island in enumerate(islands)]
        for slot in range(slots):
            island = islands[_drawn(by_rank, self._chance(slot, "island"))]
            weights = [NEXT_RANK**rank / (1 + tried[member.ref]) for rank, member in enumerate(island)]
            parent = island[_drawn(weights, self._chance(slot, "parent"))]
            tried[parent.ref] += 1
            chosen.append(parent)
        best = math.ceil(slots * BEST_SHARE) if slots > 1 and not young else 0
        return [islands[0][0]] * best + chosen[best:]

    def _chance(self, slot: int, what: str) -> float:
        """In [0, 1)."""
        name = f"{self.seed}:{self.iteration}:{slot}:{what}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def inspirations(islands: Sequence[Island]) -> tuple[CandidateRef, ...]:
    """The best candidates of all islands, the best first, then those that have least in common with what is there
    already, whatever their rank."""
    members = ranked(member for island in islands for member in island)
    chosen, rest = list(members[:BEST]), list(members[BEST:])
    for _ in range(min(DIVERSE, len(rest))):
        farthest = min(rest, key=lambda one: max(similarity(one.text, other.text) for other in chosen))
        chosen.append(farthest)
        rest.remove(farthest)
    return tuple(candidate.ref for candidate in chosen)


def _drawn(weights: Sequence[float], chance: float) -> int:
    """The number of a weight, each with its share of the chances."""
    left = chance * sum(weights)
    for number, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return number
    return len(weights) - 1

"""The next decision: pure functions of a job's history and its limits. No I/O, no randomness, no clock of its own.

Strategies are plug-ins over the same moves, so that each can be compared with the others at equal tokens. Import each
name from here, not from the modules below.
"""

from tasks.policy.advice import Advised, advised_at
from tasks.policy.aggregate import Aggregation
from tasks.policy.best_of_n import BestOfN
from tasks.policy.changed import RECHECKED, Rechecked, is_outdated
from tasks.policy.climb import Climb
from tasks.policy.clusters import choose, clusters, conclude_by_choice, passing
from tasks.policy.correct import Correct
from tasks.policy.decider import decider
from tasks.policy.endings import (
    JUDGES,
    accept,
    conclude,
    given_up,
    plateau,
    reached,
    rejected,
    settled,
    spent,
    stop_at,
)
from tasks.policy.evolve import Evolve
from tasks.policy.help import helped, reasons, rung
from tasks.policy.identity import identity
from tasks.policy.ladder import Ladder
from tasks.policy.limits import (
    LoopRules,
    deadline_of,
    engine_lane,
    hours_used,
    is_decisive,
    is_executable,
    limits_of,
    width_of,
)
from tasks.policy.lineages import (
    NEARLY_EQUAL,
    REVISIONS_PER_LINEAGE,
    SAME_CRITIQUE,
    by_root,
    complaint,
    head,
    lineages,
    repeats,
    stuck,
)
from tasks.policy.population import written
from tasks.policy.progress import impossible, in_doubt, no_gain
from tasks.policy.repeats import distinct, is_stale, marked, repeated
from tasks.policy.self_consistency import SelfConsistency
from tasks.policy.similarity import similarity
from tasks.policy.single import Single
from tasks.policy.started import Started
from tasks.policy.unapplied import is_unapplied

__all__ = [
    "JUDGES",
    "NEARLY_EQUAL",
    "RECHECKED",
    "REVISIONS_PER_LINEAGE",
    "SAME_CRITIQUE",
    "Advised",
    "Aggregation",
    "BestOfN",
    "Climb",
    "Correct",
    "Evolve",
    "Ladder",
    "LoopRules",
    "Rechecked",
    "SelfConsistency",
    "Single",
    "Started",
    "accept",
    "advised_at",
    "by_root",
    "choose",
    "clusters",
    "complaint",
    "conclude",
    "conclude_by_choice",
    "deadline_of",
    "decider",
    "distinct",
    "engine_lane",
    "given_up",
    "head",
    "helped",
    "hours_used",
    "identity",
    "impossible",
    "in_doubt",
    "is_decisive",
    "is_executable",
    "is_outdated",
    "is_stale",
    "is_unapplied",
    "limits_of",
    "lineages",
    "marked",
    "no_gain",
    "passing",
    "plateau",
    "reached",
    "reasons",
    "rejected",
    "repeated",
    "repeats",
    "rung",
    "settled",
    "similarity",
    "spent",
    "stop_at",
    "stuck",
    "width_of",
    "written",
]

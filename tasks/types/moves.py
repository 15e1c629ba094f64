"""Candidates with their verdicts, and the decisions that follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import assert_never

from tasks.kinds import Acceptance, Egress, EscalationKind, GuardKind, JobState, Operator, StopCode
from tasks.types.specs import Budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of one check on one candidate. `score` is in [0, 1]; `feedback` is for the model unless held out.

    `isolation` is `process` where the candidate ran in one of its own, `shared` where it could reach what judged it,
    and empty where it did not run. `value` is what a check of kind score measured, in its own unit, None where the
    candidate is invalid; `metrics` are further numbers of its evaluator.
    """

    check: str
    kind: str
    passed: bool
    score: float
    held_out: bool = False
    feedback: str = ""
    seconds: float = 0.0
    isolation: str = ""
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class CandidateRef:
    """The identity of a candidate within its job."""

    iteration: int
    slot: int

    def __str__(self) -> str:
        return f"{self.iteration}.{self.slot}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One candidate with its verdicts.

    `root` is the draft its lineage began with, `revision` how many revisions away it is (0: the draft).
    `score` is the mean over all checks, a held-out check counting 0 or 1 and a check not run 0.
    A candidate with `guard` set is degenerate: it is never shown to a prompt and never checked. One with `let_through`
    repeats itself as this net saw; it is checked, and shown to a prompt in part.
    `behaviour` is a digest that candidates share which do the same: of a program by what it returns for the inputs of a
    probe, of an answer by its value. None where nobody has looked.
    `repeats` is the rejected candidate that it is again, in words, as a program or in what it does. `objection` is what
    its author wrote, with words of the problem, where it found the problem impossible as posed.
    `fitness` is the value of the job's deciding score, negated where less is better: the greater the better. None where
    the job has no score, and for a candidate that a check refused.
    """

    ref: CandidateRef
    operator: Operator
    text: str
    root: CandidateRef
    revision: int = 0
    parent: CandidateRef | None = None
    guard: GuardKind | None = None
    let_through: GuardKind | None = None
    verdicts: tuple[Verdict, ...] = ()
    score: float = 0.0
    accepted: bool = False
    behaviour: str | None = None
    repeats: CandidateRef | None = None
    objection: str = ""
    fitness: float | None = None

    @property
    def rank(self) -> tuple[bool, float, float]:
        """The greater the better: a candidate with a fitness before one without, by fitness, then by the score."""
        return self.fitness is not None, self.fitness or 0.0, self.score


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What a job with a score wants, in terms of `Candidate.fitness`. An improvement counts only beyond `noise`, which
    is in the score's unit. With `target` a valid candidate that reaches it is accepted; without one the best valid
    candidate is, when the budget is spent or the score stands still: for `plateau_iterations` iterations, where set, it
    rose by no more than `plateau_improvement`."""

    target: float | None = None
    noise: float = 0.0
    plateau_iterations: int | None = None
    plateau_improvement: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration:
    """A recorded iteration: one move and its candidates (none where an escalation brought no answer). `inputs` are
    those of a probe, `hint` is the advice that an escalation brought."""

    number: int
    operator: Operator
    candidates: tuple[Candidate, ...]
    inputs: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Write `slots` fresh candidates in parallel. `restart` marks a fresh start after failures; its plan is to be
    another than those of the rejected candidates `avoid`, where any are named."""

    slots: int
    restart: bool = False
    avoid: tuple[CandidateRef, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revise:
    """Review and patch each of `parents`, in parallel. With `analyse` one call writes both, first what is wrong."""

    parents: tuple[CandidateRef, ...]
    analyse: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """Write `slots` candidates in parallel, each out of several of `parents` (RSA, arXiv 2509.26626)."""

    parents: tuple[CandidateRef, ...]
    slots: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesise:
    """Merge the best parts of `parents` into one candidate. Its author is not told which of them is the incumbent; it
    must pass the same checks, and replaces the incumbent only by a better score."""

    parents: tuple[CandidateRef, ...]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutate:
    """Change each of `parents` for a better value, in parallel: one candidate each, so that a parent may be there more
    than once. Each author is shown the first of `inspirations` and some of the others, with their values. With `edits`
    the change is a list of search/replace blocks, else the whole answer is written again. `warmth` counts the steps by
    which the temperature is above the model's own. Beside them so many `variants` of the candidates `varied` are
    measured, which no model writes: of a valid one variants, of others repairs."""

    parents: tuple[CandidateRef, ...]
    inspirations: tuple[CandidateRef, ...] = ()
    edits: bool = False
    warmth: int = 0
    varied: tuple[CandidateRef, ...] = ()
    variants: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Have the model write inputs, and run every candidate that passed the visible checks on them. It makes no
    candidate; later ones are run on the same inputs when they have passed."""

    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalate:
    """Ask a stronger model, at most once: an answer is validated like any other, and a hint makes no candidate."""

    kind: EscalationKind = EscalationKind.ANSWER
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask the person who posed the problem one question. It makes no candidate; the job waits for the answer, which all
    later prompts carry, or for its time-out."""

    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The job ends. `tasks.reasons.explain` makes the text for people from these fields.

    `used` and `limit` are in the unit of `code`: tokens, US dollars, hours, iterations; crashes or faults in a row; of
    an answer chosen among several, the candidates that do the same and all that passed.
    `needed`, where set, is what the next call may take at most, which `limit` less `used` does not cover. `detail`
    names what the numbers can't: the accepted candidate (`2.0`), the last fault, the error, a strategy's own reason.
    `value` is the accepted candidate's, where the job has a score; `ended_by`, where its score has no target, is why
    the search for a better one ended, and `used`, `limit` and `needed` belong to that code.
    """

    code: StopCode
    used: float | None = None
    limit: float | None = None
    needed: float | None = None
    detail: str = ""
    acceptance: Acceptance | None = None
    value: float | None = None
    ended_by: StopCode | None = None

    @property
    def state(self) -> JobState:
        """The job's final state."""
        return self.code.state


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """Check `parents` by the job's checks as they are now, which differ from those that judged them. Each candidate has
    the text of a parent; no model is called."""

    parents: tuple[CandidateRef, ...]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Check the answer that the job was submitted with, as its first candidate; no model is called."""

    why: str = ""


Move = Draft | Revise | Aggregate | Synthesise | Mutate | Probe | Escalate | Ask | Recheck | Start
Decision = Move | Stop


def operator_of(move: Move) -> Operator:  # noqa: PLR0911 - one a move
    """The operator that writes a move's candidates, or its inputs."""
    match move:
        case Draft(restart=True):
            return Operator.RESTART
        case Draft():
            return Operator.DRAFT
        case Revise():
            return Operator.REVISE
        case Aggregate():
            return Operator.AGGREGATE
        case Synthesise():
            return Operator.SYNTHESISE
        case Mutate(edits=edits):
            return Operator.EDIT if edits else Operator.MUTATE
        case Probe():
            return Operator.INPUTS
        case Ask():
            return Operator.ASK
        case Recheck():
            return Operator.RECHECK
        case Start():
            return Operator.START
        case Escalate(kind=kind):
            return Operator.HINT if kind.is_hint else Operator.ESCALATE
        case _:
            assert_never(move)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What a job has used: US dollars, tokens in + out by where they were made, seconds on the engine."""

    usd: Decimal = Decimal(0)
    local_tokens: int = 0
    cloud_tokens: int = 0
    engine_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HelpRules:
    """When a job asks a stronger model, beside after enough rejected iterations: after so many `fresh_starts` that
    failed, iterations `without_gain`, iterations that brought nothing but `loops`, and lineages whose review objects
    that the problem is impossible. It asks for `hints` before a whole answer, and after each the local model has
    `hint_iterations`. A job that may ask its owner asks so many `questions` at most, before each of these."""

    fresh_starts: int = 2
    without_gain: int = 6
    loops: int = 3
    objections: int = 2
    hints: int = 2
    hint_iterations: int = 4
    questions: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a decision, and what is used so far. `width` is the number of parallel slots; `decisive` says that
    a candidate which passes the checks is right, where without it that is no proof; `executable` that candidates are
    programs, whose behaviour a probe can compare; `files` that they are files, of which an answer writes those that it
    changes; `goal` is that of a job with a score; `varies` says that variants of a candidate, which no model writes,
    may be measured; `seed` is the job's, of which a strategy's choices by chance are a function; `egress` is how much
    of the job may leave for help now, `never` where nobody serves it; `away` are the kinds of help that it goes on
    without now, each with its provider; `help` says when it asks for help; the rest counts rejected iterations."""

    budget: Budget
    spend: Spend
    hours: float
    width: int
    decisive: bool = False
    executable: bool = False
    files: bool = False
    goal: Goal | None = None
    varies: bool = False
    seed: int = 0
    egress: Egress = Egress.NEVER
    away: Mapping[EscalationKind, str] = field(default_factory=dict)
    escalate_after: int = 10
    move_up_after: int = 3
    help: HelpRules = field(default_factory=HelpRules)

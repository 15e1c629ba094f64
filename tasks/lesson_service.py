"""What earlier jobs teach a new one, and what an ended job teaches. Over ports only."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass

from tasks.journal import JournalledModel
from tasks.memory.ranking import is_worth_recalling, most_helpful
from tasks.policy import JUDGES
from tasks.ports import LessonRecords, MemoryBank
from tasks.prompts import build, parse, redact
from tasks.turn import Turn
from tasks.types import Acceptance, CallKey, Candidate, Job, Lesson, LessonKind, Operator

# Measured over seven lessons and ten short problems of programming and mathematics: a lesson on the same kind of
# problem had a cosine of 0.43 to 0.73, one on another kind at most 0.37.
LEAST_SIMILARITY = 0.40
# Of the problem: the embedder reads its first 256 tokens, and words are counted in all of it.
QUERY_CHARS = 2_000
# Lessons of each kind among which what became of their jobs decides.
CONSIDERED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLessonService:
    """Implements `LessonService` over the memory's bank, journalled calls, and the `records` of its lessons."""

    bank: MemoryBank
    model: JournalledModel
    records: LessonRecords

    def recall(self, job: Job) -> tuple[Lesson, ...]:
        """At most one success and one failure of the job's owner and family, those that fit best and helped most: one
        of each helps more than four of each (ReasoningBank). None where such jobs do no better with lessons. Raises
        `MemoryUnavailable`, `DatabaseUnavailable`."""
        text = f"{job.spec.title}\n{job.spec.problem[:QUERY_CHARS]}"
        found = [
            self.bank.search(job.owner, text, family=family_of(job), kind=kind, limit=CONSIDERED)
            for kind in (LessonKind.SUCCESS, LessonKind.FAILURE)
        ]
        similar = [[match for match in matches if match.similarity >= LEAST_SIMILARITY] for matches in found]
        numbers = [match.lesson.id for matches in similar for match in matches]
        records = self.records.records(numbers) if numbers else {}
        chosen = [match for matches in similar if (match := most_helpful(matches, records)) is not None]
        if not chosen or not self._helps(job):
            return ()
        return tuple(match.lesson for match in chosen)

    def _helps(self, job: Job) -> bool:
        chance = random.Random(f"recall {job.id}")  # noqa: S311 - a fair draw, no secret
        return is_worth_recalling(self.records.experience(job.owner, family_of(job)), chance)

    def has_lesson(self, job: Job) -> bool:
        """Whether deterministic checks accepted an answer, or visible ones said what was wrong with all of them."""
        accepted, failures = _evidence_of(job)
        return accepted is not None or bool(failures)

    def distil(self, turn: Turn) -> Lesson | None:
        """What worked, where deterministic checks accepted it; what to avoid, where visible ones said what was wrong.

        None where neither is so, and where the model's text gives no lesson or gives a check away. Raises
        `LimitReached`, `EngineFault`, and what the turn's heartbeat raises.
        """
        job = turn.job
        accepted, failures = _evidence_of(job)
        if accepted is None and not failures:
            return None
        key = CallKey(iteration=job.history[-1].number, operator=Operator.DISTIL, slot=0, attempt=1)
        completion = self.model.ask(
            turn, key, lambda cut: build.distil(job, accepted=accepted, failures=failures, cut=cut)
        )
        lines = None if completion.guard else parse.lesson_lines(completion.text)
        if lines is None or redact.reveals(job, "\n".join(lines)):
            return None
        return _lesson(job, accepted, lines)


class NoLessonService:
    """The twin of a deployment without a memory: nothing is recalled, nothing is kept."""

    def recall(self, job: Job) -> tuple[Lesson, ...]:
        """None."""
        return ()

    def has_lesson(self, job: Job) -> bool:
        """No."""
        return False

    def distil(self, turn: Turn) -> Lesson | None:
        """None."""
        return None


def family_of(job: Job) -> str:
    """The kind of task a job is: the kinds of its checks, sorted, such as `answer+python`."""
    return "+".join(sorted({check.kind for check in job.spec.checks}))


def _evidence_of(job: Job) -> tuple[Candidate | None, tuple[str, ...]]:
    """What an ended job's lesson would rest on: its accepted candidate, or the feedback of its visible checks."""
    acceptance = job.ended.acceptance if job.ended else None
    if acceptance is None:
        return None, redact.visible_failures(job, _candidates(job))
    if job.ended is None or acceptance is not Acceptance.VERIFIED:
        return None, ()
    accepted = [candidate for candidate in _candidates(job) if candidate.accepted]
    chosen = (candidate for candidate in accepted if str(candidate.ref) == job.ended.detail)
    return next(chosen, accepted[0] if accepted else None), ()


def _candidates(job: Job) -> list[Candidate]:
    return [_deterministic(candidate) for iteration in job.history for candidate in iteration.candidates]


def _deterministic(candidate: Candidate) -> Candidate:
    """Without the verdicts of judges: an opinion is no evidence."""
    verdicts = tuple(verdict for verdict in candidate.verdicts if verdict.kind not in JUDGES)
    return dataclasses.replace(candidate, verdicts=verdicts)


def _lesson(job: Job, accepted: Candidate | None, lines: tuple[str, str, str]) -> Lesson:
    when, do, avoid = lines
    return Lesson(
        job=job.id,
        owner=job.owner,
        family=family_of(job),
        kind=LessonKind.SUCCESS if accepted else LessonKind.FAILURE,
        situation=when,
        advice=do,
        avoid=avoid,
        evidence=_describe_evidence(job, accepted),
    )


def _describe_evidence(job: Job, accepted: Candidate | None) -> str:
    """What the lesson rests on, in a line; a hidden check is counted and not named."""
    deterministic = [check for check in job.spec.checks if check.kind not in JUDGES]
    checks = [check.name for check in deterministic if not check.held_out]
    hidden = len(deterministic) - len(checks)
    if hidden:
        checks.append(f"{hidden} hidden check{'s' if hidden > 1 else ''}")
    best = accepted or max(_candidates(job), key=lambda candidate: candidate.rank)
    outcome = f"job {job.id}: {'accepted' if accepted else 'not accepted'} by {', '.join(checks)}"
    return f"{outcome}; score {best.score:.2f}, iteration {best.ref.iteration} of {len(job.history)}"

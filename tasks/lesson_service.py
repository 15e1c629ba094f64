"""What earlier jobs teach a new one, and what an ended job teaches. Over ports only."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tasks.journal import JournalledModel
from tasks.policy import JUDGES
from tasks.ports import Heartbeat, MemoryBank
from tasks.prompts import build, parse, redact
from tasks.types import Acceptance, CallKey, Candidate, Claim, Job, Lesson, LessonKind, Operator

# Measured over seven lessons and ten short problems of programming and mathematics: a lesson on the same kind of
# problem had a cosine of 0.43 to 0.73, one on another kind at most 0.37.
LEAST_SIMILARITY = 0.40
# Of the problem: the embedder reads its first 256 tokens, and words are counted in all of it.
QUERY_CHARS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLessonService:
    """Implements `LessonService` over the memory's bank and journalled calls."""

    bank: MemoryBank
    model: JournalledModel

    def recall(self, job: Job) -> tuple[Lesson, ...]:
        """At most one success and one failure of the job's owner and family: one of each helps more than four of
        each (ReasoningBank). Raises `MemoryUnavailable`."""
        text = f"{job.spec.title}\n{job.spec.problem[:QUERY_CHARS]}"
        found = (
            self.bank.search(job.owner, text, family=family_of(job), kind=kind, limit=1)
            for kind in (LessonKind.SUCCESS, LessonKind.FAILURE)
        )
        return tuple(match.lesson for matches in found for match in matches if match.similarity >= LEAST_SIMILARITY)

    def has_lesson(self, job: Job) -> bool:
        """Whether deterministic checks accepted an answer, or visible ones said what was wrong with all of them."""
        accepted, failures = _grounds(job)
        return accepted is not None or bool(failures)

    def distil(self, claim: Claim, job: Job, heartbeat: Heartbeat) -> Lesson | None:
        """What worked, where deterministic checks accepted it; what to avoid, where visible ones said what was wrong.

        None where neither is so, and where the model's words give no lesson or give a check away. Raises
        `LimitReached`, `EngineFault`, and what `heartbeat` raises.
        """
        accepted, failures = _grounds(job)
        if accepted is None and not failures:
            return None
        key = CallKey(iteration=job.history[-1].number, operator=Operator.DISTIL, slot=0, attempt=1)
        said = self.model.ask(
            claim,
            key,
            job.spec.seed,
            lambda cut: build.distil(job, accepted=accepted, failures=failures, cut=cut),
            heartbeat,
        )
        lines = None if said.guard else parse.lesson_lines(said.text)
        if lines is None or redact.reveals(job, "\n".join(lines)):
            return None
        when, do, avoid = lines
        return Lesson(
            job=job.id,
            owner=job.owner,
            family=family_of(job),
            kind=LessonKind.SUCCESS if accepted else LessonKind.FAILURE,
            situation=when,
            advice=do,
            avoid=avoid,
            evidence=_evidence(job, accepted),
        )


class NoLessonService:
    """The twin of a deployment without a memory: nothing is recalled, nothing is kept."""

    def recall(self, job: Job) -> tuple[Lesson, ...]:
        """None."""
        return ()

    def has_lesson(self, job: Job) -> bool:
        """No."""
        return False

    def distil(self, claim: Claim, job: Job, heartbeat: Heartbeat) -> Lesson | None:
        """None."""
        return None


def family_of(job: Job) -> str:
    """The kind of task a job is: the kinds of its checks, sorted, such as `answer+python`."""
    return "+".join(sorted({check.kind for check in job.spec.checks}))


def _grounds(job: Job) -> tuple[Candidate | None, tuple[str, ...]]:
    """What an ended job's lesson would rest on: its accepted candidate, or what its visible checks said."""
    acceptance = job.ended.acceptance if job.ended else None
    if acceptance is None:
        return None, redact.visible_failures(job, _tried(job))
    verified = acceptance is Acceptance.VERIFIED
    return next((candidate for candidate in _tried(job) if verified and candidate.accepted), None), ()


def _tried(job: Job) -> list[Candidate]:
    return [_deterministic(candidate) for iteration in job.history for candidate in iteration.candidates]


def _deterministic(candidate: Candidate) -> Candidate:
    """Without what judges said: an opinion teaches nothing that is sure."""
    verdicts = tuple(verdict for verdict in candidate.verdicts if verdict.kind not in JUDGES)
    return dataclasses.replace(candidate, verdicts=verdicts)


def _evidence(job: Job, accepted: Candidate | None) -> str:
    """What the lesson rests on, in our own words; a hidden check is counted and not named."""
    deterministic = [check for check in job.spec.checks if check.kind not in JUDGES]
    checks = [check.name for check in deterministic if not check.held_out]
    hidden = len(deterministic) - len(checks)
    if hidden:
        checks.append(f"{hidden} hidden check{'s' if hidden > 1 else ''}")
    best = accepted or max(_tried(job), key=lambda candidate: candidate.score)
    said = f"job {job.id}: {'accepted' if accepted else 'not accepted'} by {', '.join(checks)}"
    return f"{said}; score {best.score:.2f}, iteration {best.ref.iteration} of {len(job.history)}"

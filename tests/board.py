"""The twin of a client for the live page: made-up jobs in memory, whose texts a test chooses. It must not know the
page."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tasks.errors import InvalidInput, NoSuchJob
from tasks.store.board_rows import (
    CallLine,
    CallText,
    CandidateLine,
    CandidateText,
    Choices,
    CurvePoint,
    InFlight,
    IterationDetail,
    IterationLine,
    JobFilter,
    JobLine,
    JobPage,
    LaneRow,
    LiveText,
    Message,
    Night,
    StateCount,
    Stretch,
    VerdictLine,
)
from tasks.store.lesson_queries import Reader
from tasks.store.summaries import EgressRow, EventRow, JobSummary, JudgedBy
from tasks.types import Acceptance, Budget, CandidateRef, Changes, Egress, JobState, Lane, Spend

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
# Gives the text of a field that somebody else wrote, by the field's name.
Text = Callable[[str], str]
ITERATIONS = 60


def plain(name: str) -> str:
    """Ordinary words."""
    return {
        "title": "Merge the booked slots of a meeting room",
        "candidate": "def merge_slots(slots):\n    return sorted(slots)\n",
        "parent": "def merge_slots(slots):\n    return slots\n",
        "feedback": "test_overlap: [(1, 5)] is expected, [(1, 3), (2, 5)] was returned",
        "owner": "ada",
        "tag": "intervals",
        "strategy": "correct",
        "phase": "draft",
        "kind": "recorded",
    }.get(name, f"the {name} of a job")


class ScriptedBoard:
    """Implements the reads of `tasks.board.Board`: job 1 is at work, 2 waits, 3 was accepted, 4 and later are past.
    Parameters: `text`, and how many `jobs` there are. `reads` counts the calls."""

    def __init__(self, text: Text = plain, jobs: int = 12) -> None:
        self.text, self.jobs, self.reads, self.at, self.text_at = text, jobs, 0, "1", "1"
        self.watched = list[int]()
        self.states = {1: JobState.RUNNING, 2: JobState.QUEUED, 3: JobState.ACCEPTED, 4: JobState.PAUSED}

    def line(self, job: int) -> JobLine:
        """A job in a list."""
        if not 1 <= job <= self.jobs:
            raise NoSuchJob(job)
        state = self.states.get(job, JobState.UNSOLVED)
        text = self.text
        return JobLine(
            job=job, title=text("title"), state=state, reason=text("reason") if state.final else "",
            acceptance=Acceptance.VERIFIED if state is JobState.ACCEPTED else None, strategy=text("strategy"),
            owner=text("owner"), tags=(text("tag"),), lane="gpu", model="", iterations=ITERATIONS - 1,
            most_iterations=100, score=0.75, value=None, measured=False, tokens=81_200, most_tokens=2_000_000,
            usd=Decimal("0.04"), submitted_at=NOON, started_at=NOON,
            finished_at=NOON + timedelta(hours=1) if state.final else None,
            worker="w-1" if state is JobState.RUNNING else None, phase=text("phase"), live_tokens=120,
            progress_at=NOON + timedelta(hours=2), run_at=NOON, waiting_since=NOON, served=True, context_above=0,
            cancel_requested=False, pause_requested=False, now=NOON + timedelta(hours=2),
            fault=text("fault") if job == 2 else "",
        )  # fmt: skip

    def night(self, since: datetime) -> Night:
        self.reads += 1
        count = {state: 0 for state in JobState}
        for job in range(1, self.jobs + 1):
            count[self.states.get(job, JobState.UNSOLVED)] += 1
        return Night(
            now=NOON + timedelta(hours=2), since=NOON, lanes=self.lanes(), usd=Decimal("1.20"), tokens=4_000_000,
            states=tuple(StateCount(state=state, jobs=number, lately=number) for state, number in count.items()),
            slots=8, calls_in_flight=3, tokens_per_second=141.7,
        )  # fmt: skip

    def first_submission(self) -> datetime | None:
        self.reads += 1
        return NOON if self.jobs else None

    def lanes(self) -> tuple[LaneRow, ...]:
        return tuple(LaneRow(lane=str(lane), workers=1, at_work=1, waiting=2, later=0) for lane in Lane)

    def ended_work(self, since: datetime, *, seconds: int) -> tuple[Stretch, ...]:
        ends = datetime.now(UTC)
        rows = []
        while since < ends:
            rows.append(
                Stretch(
                    began=since, tokens=(37 * len(rows) % 80 + 60) * seconds, usd=Decimal("0.01"), calls=40,
                    call_seconds=4.0 * seconds, checks=10, check_seconds=0.5 * seconds,
                )
            )  # fmt: skip
            since += timedelta(seconds=seconds)
        return tuple(rows)

    def at_work(self, limit: int) -> tuple[JobLine, ...]:
        return (self.line(1),)

    def waiting(self, limit: int) -> tuple[JobLine, ...]:
        return (self.line(2), self.line(4))

    def ended(self, since: datetime, limit: int) -> tuple[JobLine, ...]:
        return tuple(self.line(job) for job in range(3, self.jobs + 1) if self.line(job).state.final)[:limit]

    def version(self) -> str:
        return self.at

    def find(self, wanted: JobFilter, *, before: int | None = None, limit: int) -> JobPage:
        lines = [self.line(job) for job in range(self.jobs, 0, -1)]
        lines = [line for line in lines if wanted.state in (None, line.state) and wanted.text in line.title]
        below = [line for line in lines if before is None or line.job < before]
        return JobPage(jobs=tuple(below[:limit]), more=len(below) > limit, total=len(lines))

    def chosen(self, jobs: tuple[int, ...]) -> tuple[JobLine, ...]:
        return tuple(self.line(job) for job in jobs if 1 <= job <= self.jobs)

    def choices(self) -> Choices:
        return Choices(
            strategies=(self.text("strategy"),), owners=(self.text("owner"), "bob"), tags=(self.text("tag"),)
        )

    def curve(self, job: int) -> tuple[CurvePoint, ...]:
        return tuple(
            CurvePoint(
                iteration=number, score=min(1.0, number % 7 / 10 + number / 100), value=None,
                improved=number % 7 == 6, operator="revise",
            )
            for number in range(1, ITERATIONS + 1)
        )  # fmt: skip

    def iterations(self, job: int, *, before: int | None = None, limit: int) -> tuple[IterationLine, ...]:
        last = min(before or ITERATIONS + 1, ITERATIONS + 1)
        return tuple(self._iteration(number) for number in range(last - 1, max(0, last - 1 - limit), -1))

    def _iteration(self, number: int) -> IterationLine:
        merging = number % 10 == 9
        parents = tuple(CandidateRef(iteration=number - back, slot=0) for back in (1, 2)) if merging else ()
        operator = "aggregate" if merging else "draft" if number % 10 == 1 else "revise"
        return IterationLine(
            iteration=number, operator=operator, parents=parents, decision=self.text("decision"), score=0.5, value=None,
            measured=False, best_slot=0, improved=number % 7 == 6, worker="w-1", started_at=NOON,
            finished_at=NOON + timedelta(seconds=42) if number < ITERATIONS else None, prompt_tokens=4000,
            cached_tokens=3000, completion_tokens=900, usd=Decimal(0),
            hint=self.text("hint") if number % 20 == 19 else "",
        )  # fmt: skip

    def candidates(self, job: int, first: int, last: int) -> tuple[CandidateLine, ...]:
        return tuple(self._candidate(number, slot) for number in range(first, last + 1) for slot in (0, 1))

    def _candidate(self, number: int, slot: int) -> CandidateLine:
        draft = (number - 1) // 10 * 10 + 1
        return CandidateLine(
            ref=CandidateRef(iteration=number, slot=slot), operator=self._iteration(number).operator,
            root=CandidateRef(iteration=draft, slot=slot), revision=number - draft,
            parent=CandidateRef(iteration=number - 1, slot=slot) if number > draft else None,
            guard="cycle" if number % 13 == 5 and slot else None, let_through=None, score=0.5, value=None,
            measured=False, accepted=number == ITERATIONS - 1 and not slot, checked=True, repeats=None,
            objection=self.text("objection") if slot and number % 9 == 0 else "", passed=1, checks=2,
        )  # fmt: skip

    def ancestry(self, job: int, ref: CandidateRef) -> tuple[CandidateLine, ...]:
        return tuple(self._candidate(number, 0) for number in range(51, 56))

    def iteration(self, job: int, number: int) -> IterationDetail:
        if number > ITERATIONS:
            raise NoSuchJob(job)
        text = self.text
        return IterationDetail(
            line=self._iteration(number),
            candidates=tuple(
                CandidateText(line=self._candidate(number, slot), text=text("candidate"), parent_text=text("parent"))
                for slot in (0, 1)
            ),
            verdicts=tuple(
                VerdictLine(
                    ref=CandidateRef(iteration=number, slot=slot), check=text("check"), kind=kind, passed=slot == 0,
                    held_out=kind == "judge", score=0.0, value=None, feedback=text("feedback"), seconds=0.4,
                    isolation="process",
                )
                for slot in (0, 1)
                for kind in ("python", "judge")
            ),
            calls=tuple(
                dataclasses.replace(self._call(call), slot=call % 2, operator=operator, step=step)
                for call, (operator, step) in enumerate((("draft", ""), ("judge", "report"), ("review", "")), start=1)
            ),
            inputs=(text("input"),),
        )  # fmt: skip

    def _call(self, call: int) -> CallLine:
        text = self.text
        return CallLine(
            call=call, iteration=ITERATIONS - 1, operator="draft", slot=0, attempt=1, step="", check=text("check"),
            vote=1, model=text("model"), finish_reason=text("finish"), guard=text("guard"), prompt_tokens=4000,
            cached_tokens=3000, completion_tokens=900, usd=Decimal(0), seconds=12.0, set_aside=False, said=text("said"),
            chars=400, thought_chars=900, created_at=NOON,
        )  # fmt: skip

    def call(self, job: int, call: int) -> CallText:
        text = self.text
        messages = (Message(role="system", content=text("prompt")), Message(role=text("role"), content=text("problem")))
        return CallText(
            line=self._call(call),
            messages=messages,
            text=text("answer"),
            thoughts=text("thoughts"),
            settings=text("set"),
        )

    def events(self, job: int, *, before: int | None = None, limit: int) -> tuple[EventRow, ...]:
        newest = min((before or 41) - 1, 40)
        return tuple(
            EventRow(number=number, job=job, at=NOON, kind=self.text("kind"), detail=self.text("detail"))
            for number in range(newest, max(0, newest - limit), -1)
        )

    def in_flight(self, job: int) -> tuple[InFlight, ...]:
        return (
            InFlight(
                iteration=ITERATIONS, operator="revise", slot=0, attempt=1, step="", check=self.text("check"), vote=0,
                tokens=310, seconds=9.0,
            ),
        )  # fmt: skip

    def job_version(self, job: int) -> str:
        return self.at

    def watch_text(self, job: int) -> None:
        self.watched.append(job)

    def live_text(self, job: int) -> tuple[LiveText, ...]:
        (call,) = self.in_flight(job)
        return (
            LiveText(
                iteration=call.iteration, operator=call.operator, slot=call.slot, attempt=call.attempt, step=call.step,
                check=call.check, vote=call.vote, text=self.text("writing"), thoughts=self.text("thinking"), chars=9000,
                thought_chars=500, tokens=321,
            ),
        )  # fmt: skip

    def text_version(self, job: int) -> str:
        return self.text_at


class ScriptedClient:
    """Implements what the page uses of `tasks.client.Client`. `asked` keeps what was done to jobs."""

    def __init__(self, board: ScriptedBoard | None = None) -> None:
        self.board, self.asked = board or ScriptedBoard(), list[tuple[str, int]]()

    def summary(self, job: int) -> JobSummary:
        line, text = self.board.line(job), self.board.text
        return JobSummary(
            job=job, title=line.title, state=line.state, reason=line.reason, acceptance=line.acceptance,
            strategy=line.strategy, iterations=line.iterations, score=line.score, answer=text("answer"),
            answer_iteration=ITERATIONS - 1, owner=line.owner, tags=line.tags,
            spend=Spend(usd=line.usd, local_tokens=line.tokens, cloud_tokens=0), budget=Budget(), lane=Lane.GPU,
            egress=Egress.NEVER, priority=0, key=None, submitted_at=NOON, started_at=NOON, finished_at=line.finished_at,
            cancel_requested=False, worker=line.worker, phase=line.phase, live_tokens=120, operator="revise",
            now=line.now, judged_by=JudgedBy(model=text("model"), votes=5),
        )  # fmt: skip

    def result(self, job: int) -> str | None:
        return self.summary(job).answer

    def egress(self, job: int) -> tuple[EgressRow, ...]:
        text = self.board.text
        return (
            EgressRow(
                escalation=1, iteration=4, kind="answer", model=text("model"), state="done", response_id=text("id"),
                request=text("request"), reserved_usd=Decimal(1), usd=Decimal("0.4"), prompt_tokens=9000,
                cached_tokens=0, completion_tokens=800, error=text("error"), created_at=NOON, finished_at=NOON,
            ),
        )  # fmt: skip

    def cancel(self, job: int) -> JobState:
        return self._ask("cancel", job)

    def pause(self, job: int) -> JobState:
        return self._ask("pause", job)

    def resume(self, job: int) -> JobState:
        return self._ask("resume", job)

    def hint(self, job: int, advice: str) -> JobState:
        return self._ask(f"hint {advice}", job)

    def edit(self, job: int, changes: Changes) -> JobState:
        named = (f"{name}={value}" for name, value in dataclasses.asdict(changes).items() if value)
        return self._ask(f"edit {' '.join(named)}", job)

    def answer(self, job: int, text: str) -> JobState:
        if not text:
            raise InvalidInput("answer", text, "some <words>")
        return self._ask(f"answer {text}", job)

    def _ask(self, what: str, job: int) -> JobState:
        self.board.line(job)
        self.asked.append((what, job))
        return JobState.PAUSED

    def reader(self) -> Reader:
        return Reader(owner=self.board.text("owner"), everybody=False)

    def close(self) -> None:
        """Nothing is open."""

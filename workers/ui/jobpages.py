"""The pages of one job: its curve and lineages, an iteration with its candidates, a call, events, what left for the
cloud. Reads through the client."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tornado.web import HTTPError

from tasks.store.board_rows import (
    CallLine,
    CandidateLine,
    CandidateText,
    CurvePoint,
    InFlight,
    IterationLine,
    JobLine,
    LiveText,
    VerdictLine,
)
from tasks.store.summaries import EgressRow, EventRow, JobSummary
from tasks.types import CandidateRef
from workers.ui.diffs import DiffLine, diff
from workers.ui.handlers import Handler
from workers.ui.lineage import drawing
from workers.ui.plots import curves
from workers.ui.reasons import what_runs, why_waiting

if TYPE_CHECKING:
    from tasks.board import Board

CallRef = tuple[int, str, int, int, str, str, int]
# Iterations of a job's page, the newest; older ones are a page away.
ITERATIONS = 40
EVENTS = 100
LATEST_EVENTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """All that a job's page shows."""

    summary: JobSummary
    line: JobLine
    points: Sequence[CurvePoint]
    iterations: Sequence[IterationLine]
    candidates: Sequence[CandidateLine]
    ancestry: Sequence[CandidateLine]
    events: Sequence[EventRow]
    flight: Sequence[InFlight]
    texts: Mapping[CallRef, LiveText]
    why: str

    @property
    def oldest(self) -> int | None:
        """The number before which older iterations are, None where there are none."""
        first = min((line.iteration for line in self.iterations), default=1)
        return first if first > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateView:
    """A candidate on its iteration's page: its text, what changed in it, its verdicts and its calls."""

    line: CandidateLine
    text: str
    changed: Sequence[DiffLine] | None
    has_parent: bool
    verdicts: Sequence[VerdictLine]
    calls: Sequence[CallLine]
    judges: Sequence[CallLine]


class JobPage(Handler):
    """`/jobs/N`."""

    async def get(self, number: str) -> None:
        """Shows it. Raises `HTTPError` 404."""
        job, before = of_path(number), self.number("before")
        view = await self.read(lambda: self._read_view(job, before))
        self.show(
            "job.html",
            here="jobs",
            changes=f"/changes?job={job}",
            text_at=f"/jobs/{job}/now",
            call_ref=call_ref,
            view=view,
            job=view.summary,
            before=before,
            plot=curves("best candidate by iteration", [view.points]) if view.points else "",
            tree=drawing(job, view.iterations, view.candidates),
        )

    def _read_view(self, job: int, before: int | None) -> JobView:
        client = self.signed_in.client
        board: Board = client.board
        summary = client.summary(job)
        line = board.chosen((job,))[0]
        iterations = board.iterations(job, before=before, limit=ITERATIONS)
        numbers = [row.iteration for row in iterations]
        improved = [row for row in iterations if row.improved and row.best_slot is not None]
        best = self._best(summary, improved)
        return JobView(
            summary=summary,
            line=line,
            points=board.curve(job),
            iterations=iterations,
            candidates=board.candidates(job, min(numbers), max(numbers)) if numbers else (),
            ancestry=board.ancestry(job, best) if best else (),
            events=board.events(job, limit=LATEST_EVENTS),
            flight=board.in_flight(job) if line.worker else (),
            texts=_texts(board, job) if line.worker else {},
            why=self._why(line, board) if not line.state.final else line.reason,
        )

    @staticmethod
    def _best(summary: JobSummary, improved: Sequence[IterationLine]) -> CandidateRef | None:
        """The incumbent, where this page's iterations hold it."""
        for row in improved:
            if row.iteration == summary.answer_iteration and row.best_slot is not None:
                return CandidateRef(iteration=row.iteration, slot=row.best_slot)
        return None

    def _why(self, line: JobLine, board: Board) -> str:
        return what_runs(line) if line.worker else why_waiting(line, board.lanes(), self.context.engine())


class NowPage(Handler):
    """`/jobs/N/now`: the calls under way with what they have written, which changes more often than all else."""

    async def get(self, number: str) -> None:
        """Shows it. Raises `HTTPError` 404."""
        job = of_path(number)
        board: Board = self.signed_in.client.board
        lines, flight, texts = await self.read(lambda: (board.chosen((job,)), board.in_flight(job), _texts(board, job)))
        if not lines:
            raise HTTPError(404)
        self.show(
            "now.html",
            here="jobs",
            changes=f"/changes?job={job}",
            text_at=f"/jobs/{job}/now",
            call_ref=call_ref,
            number=job,
            flight=flight,
            texts=texts,
        )


class IterationPage(Handler):
    """`/jobs/N/iterations/K`."""

    async def get(self, number: str, iteration: str) -> None:
        """Shows it. Raises `HTTPError` 404."""
        job, one = of_path(number), of_path(iteration)
        board: Board = self.signed_in.client.board
        detail = await self.read(lambda: board.iteration(job, one))
        slots = {candidate.line.ref.slot for candidate in detail.candidates}
        self.show(
            "iteration.html",
            here="jobs",
            changes="" if detail.line.finished_at else f"/changes?job={job}",
            job=job,
            line=detail.line,
            inputs=detail.inputs,
            candidates=[_candidate_view(candidate, detail.verdicts, detail.calls) for candidate in detail.candidates],
            other=[call for call in detail.calls if call.slot not in slots],
        )


class CallPage(Handler):
    """`/jobs/N/calls/C`: the prompt, the thoughts and the answer, word for word."""

    async def get(self, number: str, call: str) -> None:
        """Shows it. Raises `HTTPError` 404."""
        job, one = of_path(number), of_path(call)
        found = await self.read(lambda: self.signed_in.client.board.call(job, one))
        self.show("call.html", here="jobs", job=job, call=found, line=found.line)


class EventsPage(Handler):
    """`/jobs/N/events`."""

    async def get(self, number: str) -> None:
        """Shows them, the newest first. Raises `HTTPError` 404."""
        job, before = of_path(number), self.number("before")
        board: Board = self.signed_in.client.board
        events, lines = await self.read(lambda: (board.events(job, before=before, limit=EVENTS), board.chosen((job,))))
        if not lines:
            raise HTTPError(404)
        older = events[-1].number if len(events) == EVENTS else None
        self.show("events.html", here="jobs", changes=f"/changes?job={job}", job=job, events=events, older=older)


class EgressPage(Handler):
    """`/jobs/N/egress`: every word that left for the cloud."""

    async def get(self, number: str) -> None:
        """Shows it. Raises `HTTPError` 404."""
        job = of_path(number)
        client = self.signed_in.client
        summary, rows = await self.read(lambda: (client.summary(job), client.egress(job)))
        requests = [(row, _readable(row)) for row in rows]
        self.show("egress.html", here="jobs", changes=f"/changes?job={job}", job=job, summary=summary, rows=requests)


class AnswerPage(Handler):
    """`/jobs/N/answer`: the answer as plain text, which no browser takes for a page."""

    async def get(self, number: str) -> None:
        """Sends it. Raises `HTTPError` 404."""
        job = of_path(number)
        answer = await self.read(lambda: self.signed_in.client.result(job))
        if answer is None:
            raise HTTPError(404)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="job-{job}.txt"')
        self.finish(answer.encode("utf-8", "replace"))


def of_path(number: str) -> int:
    """A number of the path. Raises `HTTPError` 404 where nothing can have it."""
    if len(number) > 18 or int(number) < 1:
        raise HTTPError(404)
    return int(number)


def call_ref(call: InFlight | LiveText) -> CallRef:
    """What tells the calls of a job apart."""
    return call.iteration, call.operator, call.slot, call.attempt, call.step, call.check, call.vote


def _texts(board: Board, job: int) -> Mapping[CallRef, LiveText]:
    board.watch_text(job)
    return {call_ref(text): text for text in board.live_text(job)}


def _candidate_view(
    candidate: CandidateText, verdicts: Sequence[VerdictLine], calls: Sequence[CallLine]
) -> CandidateView:
    slot = candidate.line.ref.slot
    own = [call for call in calls if call.slot == slot]
    parent = candidate.parent_text
    return CandidateView(
        line=candidate.line,
        text=candidate.text,
        changed=diff(parent, candidate.text) if parent is not None else None,
        has_parent=parent is not None,
        verdicts=[verdict for verdict in verdicts if verdict.ref.slot == slot],
        calls=[call for call in own if call.operator != "judge"],
        judges=[call for call in own if call.operator == "judge"],
    )


def _readable(row: EgressRow) -> str:
    """The request's JSON on several lines, with its words as they are."""
    try:
        return json.dumps(json.loads(row.request), ensure_ascii=False, indent=1)
    except ValueError:
        return row.request

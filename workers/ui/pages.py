"""The pages that show many jobs: the night, the list, several beside each other. Reads through the client's board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tornado.web import HTTPError

from tasks.store.board_rows import CurvePoint, JobFilter, JobLine, LaneRow, Night
from tasks.types import JobState
from workers.ui.handlers import Handler
from workers.ui.plots import bars, curves
from workers.ui.reasons import what_runs, why_waiting
from workers.ui.worklog import Load, begin, spread

if TYPE_CHECKING:
    from tasks.board import Board

# A night, and what else people look back on, in hours.
HOURS = (1, 12, 24, 168)
NIGHT_HOURS = 12
STRETCHES = 72
# Lines of each table of the overview; the list has the rest.
MOST_LINES = 25
PAGE = 50
# Jobs beside each other: as many as there are colours that can be told apart.
MOST_COMPARED = 8
TEXT_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NightPlots:
    """The night's plots, as SVG, and what was spent in it."""

    tokens: str
    calls: str
    checks: str
    usd: str
    usd_total: float


class Overview(Handler):
    """`/`: the night at a glance."""

    async def get(self) -> None:
        """Shows it. Raises `HTTPError` 400."""
        session, engine = self.signed_in, self.context.engine
        hours = self.number("hours") or usual_hours(await self.read(session.client.board.first_submission))
        if hours not in HOURS:
            raise HTTPError(400, reason=f"hours is one of {', '.join(map(str, HOURS))}")
        board, width = session.client.board, hours * 3600 // STRETCHES
        now = datetime.now(UTC)
        since = begin(now - timedelta(hours=hours), width)

        def read() -> tuple[Night, Sequence[Load], Sequence[JobLine], Sequence[JobLine], Sequence[JobLine], str]:
            return (
                board.night(since),
                spread(self.context.work.read(session.url, board, since, now, width), since, now, width),
                board.at_work(MOST_LINES),
                board.waiting(MOST_LINES),
                board.ended(since, MOST_LINES),
                engine(),
            )

        night, load, at_work, waiting, ended, fault = await self.read(read)
        self.show(
            "overview.html",
            here="overview",
            changes="/changes",
            hours=hours,
            choices=HOURS,
            night=night,
            plots=night_plots(load, hours),
            at_work=[(job, what_runs(job)) for job in at_work],
            waiting=[(job, why_waiting(job, night.lanes, fault)) for job in waiting],
            ended=ended,
            fault=fault,
        )


def usual_hours(first: datetime | None) -> int:
    """How far the overview looks back where nobody says: a night, or an hour where the `first` job is younger."""
    young = first is not None and datetime.now(UTC) - first < timedelta(hours=HOURS[0])
    return HOURS[0] if young else NIGHT_HOURS


def night_plots(load: Sequence[Load], hours: int) -> NightPlots:
    """Plots of what was done over the night."""
    shape, step = ("%d %b" if hours > 48 else "%H:%M"), max(1, len(load) // 6)
    labels = [(number, load[number].began.strftime(shape)) for number in range(step // 2, len(load), step)]

    def drawn(title: str, values: Sequence[float]) -> str:
        return bars(title, values, labels)

    return NightPlots(
        tokens=drawn("tokens written per second", [row.tokens_per_second for row in load]),
        calls=drawn("model calls at once", [row.calls for row in load]),
        checks=drawn("checks at once", [row.checks for row in load]),
        usd=drawn("US dollars spent", [row.usd for row in load]),
        usd_total=sum(row.usd for row in load),
    )


class Jobs(Handler):
    """`/jobs`: all jobs, searched and filtered, a page at a time."""

    async def get(self) -> None:
        """Shows the page. Raises `HTTPError` 400."""
        wanted, before = self._wanted(), self.number("before")
        board: Board = self.signed_in.client.board
        page, choices, lanes = await self.read(
            lambda: (board.find(wanted, before=before, limit=PAGE), board.choices(), board.lanes())
        )
        query = {name: value for name, value in self._query(wanted).items() if value}
        self.show(
            "jobs.html",
            here="jobs",
            changes="/changes",
            page=page,
            choices=choices,
            wanted=wanted,
            states=tuple(JobState),
            query=query,
            first=f"/jobs?{urlencode(query)}" if query else "/jobs",
            older=f"/jobs?{urlencode({**query, 'before': page.jobs[-1].job})}" if page.more else "",
            before=before,
            why={job.job: self._why(job, lanes) for job in page.jobs},
            compared=MOST_COMPARED,
        )

    def _wanted(self) -> JobFilter:
        fields = {name: self.get_query_argument(name, "")[:TEXT_CHARS] for name in ("q", "tag", "owner", "strategy")}
        state = self.get_query_argument("state", "")
        if state not in ("", *JobState) or any("\0" in value for value in fields.values()):
            raise HTTPError(400, reason="No such state")
        return JobFilter(
            text=fields["q"],
            state=JobState(state) if state else None,
            tag=fields["tag"],
            owner=fields["owner"],
            strategy=fields["strategy"],
        )

    @staticmethod
    def _query(wanted: JobFilter) -> dict[str, str]:
        return {
            "q": wanted.text,
            "state": str(wanted.state or ""),
            "tag": wanted.tag,
            "owner": wanted.owner,
            "strategy": wanted.strategy,
        }

    @staticmethod
    def _why(job: JobLine, lanes: Sequence[LaneRow]) -> str:
        if job.state.final:
            return job.reason
        return what_runs(job) if job.worker else why_waiting(job, lanes)


class Compare(Handler):
    """`/compare?job=…&job=…`: jobs beside each other."""

    async def get(self) -> None:
        """Shows them. Raises `HTTPError` 400."""
        given = list(dict.fromkeys(self.get_query_arguments("job")))
        if not all(text.isascii() and text.isdecimal() and 0 < len(text) < 19 for text in given):
            raise HTTPError(400, reason="No such job")
        if len(given) > MOST_COMPARED:
            raise HTTPError(400, reason=f"At most {MOST_COMPARED} jobs can be compared")
        board: Board = self.signed_in.client.board
        jobs, points = await self.read(lambda: self._read_jobs(board, tuple(map(int, given))))
        self.show(
            "compare.html",
            here="jobs",
            changes="/changes",
            jobs=jobs,
            plot=curves("best candidate by iteration", points) if any(points) else "",
        )

    @staticmethod
    def _read_jobs(board: Board, numbers: tuple[int, ...]) -> tuple[Sequence[JobLine], list[Sequence[CurvePoint]]]:
        jobs = board.chosen(numbers)
        return jobs, [board.curve(job.job) for job in jobs]

"""`redraft logs`: what happens at a job, in order: events, verdicts, and the text as it streams. Reads what the live
page reads; what is shown is made by `Log`, which knows no database."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import output
from workers.cli.jobs import JobArgument

if TYPE_CHECKING:
    from tasks.client import Client
    from tasks.store.board_rows import LiveText, VerdictLine
    from tasks.store.summaries import EventRow

app = typer.Typer()

# A person reads no faster, and each look is three indexed queries.
LOOK_SECONDS = 0.5
# How often the job's worker is told that somebody watches.
WATCH_SECONDS = 5.0
# Without --follow, and before it: the last events.
TAIL = 20

Line = tuple[str, dict[str, Any]]
Call = tuple[int, str, int, int, str, str, int]


@app.command()
def logs(
    job: JobArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job is finished, with the text as it streams.")
    ] = False,
    tail: Annotated[int, typer.Option(min=0, max=100_000, metavar="N", help="Begin with the last N events.")] = TAIL,
    as_json: output.Json = False,
) -> None:
    """Show what happens at a job: events, verdicts and, with -f, what its model writes now.

    Text is shown line by line, with its candidate in front. --json: one object per line.
    """
    from workers.cli.client import connect

    with connect() as client, contextlib.suppress(BrokenPipeError):
        log = Log()
        client.summary(job)
        newest = client.board.events(job, limit=max(1, tail))
        log.last_event = newest[0].number if newest and not tail else 0
        show(log.events(newest[::-1]), as_json=as_json)
        for lines in _follow(client, job, log) if follow else [_last_verdicts(client, job, log)]:
            show(lines, as_json=as_json)


def show(lines: Sequence[Line], *, as_json: bool) -> None:
    """One line for people, or one object, for each."""
    for line, document in lines:
        if as_json:
            output.emit_line(document)
        else:
            output.line(line)


def _last_verdicts(client: Client, job: int, log: Log) -> Sequence[Line]:
    """Those of the newest iteration."""
    return log.verdicts(client.board.verdicts(job, after=max(0, _last_iteration(client, job) - 1)))


def _last_iteration(client: Client, job: int) -> int:
    newest = client.board.iterations(job, limit=1)
    return newest[0].iteration if newest else 0


def _follow(client: Client, job: int, log: Log) -> Iterator[Sequence[Line]]:
    """Each look's lines, until the job is final and all is read."""
    import time

    board, watched_at = client.board, float("-inf")
    log.verdicts(board.verdicts(job, after=max(0, _last_iteration(client, job) - 2)))  # these are past
    for _ in client.follow(job, poll_seconds=LOOK_SECONDS):
        now = time.monotonic()
        if now - watched_at >= WATCH_SECONDS:
            board.watch_text(job)
            watched_at = now
        texts = log.texts(board.live_text(job))
        verdicts = log.verdicts(board.verdicts(job, after=log.iteration))
        yield [*texts, *verdicts, *log.events(board.events_after(job, log.last_event))]
    yield log.events(board.events_after(job, log.last_event))


@dataclass(slots=True)
class Log:
    """What was shown so far, and what is new in a look: `iteration` is the newest before which all verdicts are shown.
    A text is shown by whole lines; the end of one whose call has ended is shown then."""

    last_event: int = 0
    iteration: int = 0
    _shown: set[tuple[int, int, str]] = field(default_factory=set)
    _texts: dict[Call, tuple[int, str]] = field(default_factory=dict)

    def events(self, rows: Sequence[EventRow]) -> list[Line]:
        """Those that were not shown, the oldest first."""
        fresh = [row for row in rows if row.number > self.last_event]
        self.last_event = max([self.last_event, *(row.number for row in fresh)])
        return [
            (
                f"{row.at:%H:%M:%S} {row.kind}{f': {row.detail}' if row.detail else ''}",
                {"event": row.kind, "at": row.at, "detail": row.detail},
            )
            for row in fresh
        ]

    def verdicts(self, rows: Sequence[VerdictLine]) -> list[Line]:
        """Those that were not shown."""
        lines = []
        for row in rows:
            key = (row.ref.iteration, row.ref.slot, row.check)
            if key not in self._shown:
                self._shown.add(key)
                lines.append(_verdict(row))
        newest = max((row.ref.iteration for row in rows), default=self.iteration)
        self.iteration = max(self.iteration, newest - 1)
        self._shown = {key for key in self._shown if key[0] > self.iteration - 1}
        return lines

    def texts(self, rows: Sequence[LiveText]) -> list[Line]:
        """What the calls under way have written since; and the last line of those that have ended."""
        lines: list[Line] = []
        alive = set[Call]()
        for row in rows:
            call = (row.iteration, row.operator, row.slot, row.attempt, row.step, row.check, row.vote)
            alive.add(call)
            chars, rest = self._texts.get(call, (0, ""))
            if row.chars < chars:  # it began anew
                chars, rest = 0, ""
            missing = max(0, row.chars - chars - len(row.text))
            fresh = row.text[len(row.text) - min(len(row.text), row.chars - chars) :]
            whole = f"{rest}{f'… {missing:,} characters …' if missing else ''}{fresh}"
            *complete, rest = whole.split("\n")
            lines += [_text(call, line) for line in complete]
            self._texts[call] = (row.chars, rest)
        for call in [call for call in self._texts if call not in alive]:
            _, rest = self._texts.pop(call)
            lines += [_text(call, rest)] if rest else []
        return lines


def _verdict(row: VerdictLine) -> Line:
    word = "passed" if row.passed else "failed"
    notes = " (held out)" if row.held_out else ""
    value = f" = {output.score(None, row.value)}" if row.value is not None else ""
    said = f": {' '.join(row.feedback.split())[:300]}" if row.feedback and not row.passed else ""
    document = {
        "candidate": str(row.ref), "check": row.check, "passed": row.passed, "held_out": row.held_out,
        "score": row.score, "value": row.value, "feedback": row.feedback,
    }  # fmt: skip
    return f"{row.ref} {word} {row.check}{notes}{value}{said}", document


def _text(call: Call, line: str) -> Line:
    iteration, operator, slot, attempt, step, check, _ = call
    name = " ".join(part for part in (f"{iteration}.{slot}", operator, step, check) if part)
    document = {
        "candidate": f"{iteration}.{slot}",
        "operator": operator,
        "attempt": attempt,
        "step": step,
        "text": line,
    }
    return f"{name} │ {line}", document

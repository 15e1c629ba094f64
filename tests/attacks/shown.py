"""Every place where a person is shown text that others wrote, as a function of the text; and texts that deceive."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

from rich.console import Console

from tasks.store.summaries import IterationRow, JobSummary, VerdictRow
from tasks.types import Acceptance, Budget, Claim, Egress, JobState, Lane, Spend, TurnReport
from tests.background import running
from tests.board import ScriptedBoard, ScriptedClient
from tests.pageserver import serving
from tests.unit.cli.test_watchview import LINE, TOTALS
from workers.cli import history, logs, output, watch
from workers.cli.main import run
from workers.cli.page import page
from workers.cli.watchview import Look, view
from workers.events import TurnEvents

DECEPTIONS = {
    "an override turns a name around": "invoice\u202efdp.exe",
    "isolates and embeddings": "\u2066a\u2069\u202ab\u202c\u2067c\u2069\u200e\u200f\u061c",
    "the screen is cleared": "\x1b[2J\x1b[H\x1b[31mdone",
    "the clipboard is written": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "a link hides its address": "\x1b]8;;http://attacker.example\x1b\\docs\x1b]8;;\x1b\\",
    "C1 controls": "\x9b2J\x90q\x9d0;title\x9c",
    "the line is written over": "rejected\raccepted\x08\x7f",
    "no width": "ad\u200bmi\u200cn\u200d \u2060\ufeff\xad\u3164",
    "words in tags": "ok\U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065",
    "words in variation selectors": "ok\ufe00\ufe01\U000e0100\U000e0101\U000e01ef",
    "lines that are none": "a\u2028b\u2029c\x85d",
}
MARKUP = {
    "a script": "<script>alert(1)</script>",
    "an image": '"><img src=x onerror=alert(1)>',
    "the end of the block": "</pre></details><iframe src=//attacker.example></iframe>",
    "the end of the title": "</title><meta http-equiv=refresh content=0>",
    "an attribute": "' onmouseover='alert(1)",
    "a comment": "<!-- --><svg onload=alert(1)>",
    "an entity": "&lt;script&gt;&#60;script&#62;<b>",
    "a null before a tag": "<\0script>alert(1)</\0script>",
}
_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_JOB = JobSummary(
    job=1, title="", state=JobState.ACCEPTED, reason="", acceptance=Acceptance.VERIFIED, strategy="single",
    iterations=1, score=1.0, answer="", answer_iteration=1, owner="ada", tags=(),
    spend=Spend(usd=Decimal(0), local_tokens=1, cloud_tokens=0), budget=Budget(), lane=Lane.GPU, egress=Egress.NEVER,
    priority=0, key=None, submitted_at=_NOON, started_at=_NOON, finished_at=_NOON, cancel_requested=False,
    worker=None, phase="", live_tokens=0, operator="", now=_NOON,
)  # fmt: skip
_ROW = IterationRow(
    iteration=1, operator="draft", model="m", candidate="", score=1.0, guard=None, verdicts=(), prompt_tokens=1,
    cached_tokens=0, completion_tokens=1, usd=Decimal(0), seconds=1.0, worker="w", epoch=1, decision="",
)  # fmt: skip


class Terminal(io.StringIO):
    """A standard output that a person looks at."""

    def isatty(self) -> bool:
        return True


def _printed(call: Callable[[], Any]) -> str:
    with contextlib.redirect_stdout(Terminal()) as shown, contextlib.redirect_stderr(Terminal()) as said:
        call()
    return shown.getvalue() + said.getvalue()


def _job(text: str) -> JobSummary:
    return dataclasses.replace(_JOB, title=text, reason=text, answer=text, owner=text, tags=(text,))


def _table(text: str) -> str:
    """But for the colours and weights that the table has of its own."""
    return re.sub(r"\x1b\[[0-9;]*m", "", _printed(lambda: output.table([text, "b"], [[text, "c"]])))


def _live(text: str) -> str:
    console = Console(width=300, record=True, file=io.StringIO(), color_system=None)
    job = dataclasses.replace(LINE, title=text, reason=text, phase=text, operator=text)
    look = Look(jobs=(job,), totals=TOTALS, rates={}, workers=())
    console.print(view(look, width=300, height=20))
    return console.export_text()


def _diff(text: str) -> str:
    new = dataclasses.replace(_ROW, candidate=text)
    return _printed(lambda: output.text(history.unified(_ROW, new)))


def _flower(text: str) -> str:
    """What leaves for the broker."""
    sent: list[dict[str, Any]] = []

    class Broker:
        events: Any

        @contextlib.contextmanager
        def connection_for_write(self) -> Any:
            yield self

        def connect(self) -> None:
            """It is there."""

        def Dispatcher(self, *_: Any, **__: Any) -> Any:
            return self

        def send(self, kind: str, **fields: Any) -> None:
            sent.append(fields)

    broker = Broker()
    broker.events = broker
    events = TurnEvents(broker, "w")  # type: ignore[arg-type]
    claim = Claim(job=1, epoch=1, worker="w", turn="t")
    events.progress(claim, TurnReport(job=1, iteration=1, score=0.0, next=text))
    events.failed("t", text)
    with running(events.run):
        pass
    return "".join(str(value) for fields in sent for value in fields.values())


def marked_up(text: str) -> str:
    """The page of a report, `text` in every field that others write."""
    verdict = VerdictRow(check=text, passed=False, held_out=False, score=0.0, feedback=text)
    row = dataclasses.replace(_ROW, candidate=text, operator=text, decision=text, verdicts=(verdict,))
    return page(_job(text), (row,))


def live_page(text: str) -> str:
    """The pages of the live page, `text` in every field that others write."""
    with serving(ScriptedClient(ScriptedBoard(lambda _: text))) as served:
        return "".join(served.get(path).body for path in ("/", "/jobs", "/jobs/1", "/jobs/1/iterations/59"))


def _logged(text: str) -> str:
    """What `redraft logs` shows of an event, a verdict and a text that streams."""
    board, log = ScriptedBoard(lambda _: text), logs.Log()
    lines = [*log.events(board.events(1, limit=1)), *log.verdicts(board.iteration(1, 59).verdicts)]
    return _printed(lambda: logs.show([*lines, *log.texts(board.live_text(1)), *log.texts(())], as_json=False))


class Tags(HTMLParser):
    """The tags of a page, with the names of their attributes."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[str, ...]]] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, tuple(name for name, _ in attrs)))


PLACES: dict[str, Callable[[str], str]] = {
    "a table": _table,
    "a job's facts": lambda text: _printed(lambda: output.pairs([("title", text), ("reason", text)])),
    "the live view": _live,
    "a line of watch": lambda text: _printed(lambda: output.line(watch.change_line(_job(text)))),
    "an answer": lambda text: _printed(lambda: output.text(text)),
    "a diff": _diff,
    "JSON on a terminal": lambda text: _printed(lambda: output.emit({"title": text})),
    "a note": lambda text: _printed(lambda: output.note(f"attached: {text}")),
    "an error": lambda text: _printed(lambda: run(["submit", f"{text}.md"])),
    "the report": marked_up,
    "the live page": live_page,
    "logs": _logged,
    "flower": _flower,
}

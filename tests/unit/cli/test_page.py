"""The page of a report: complete, well-formed, and deaf to what models write."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tasks.store.summaries import EgressRow, EventRow, IterationRow, JobSummary, VerdictRow
from tasks.types import Acceptance, Budget, Egress, JobState, Lane, Spend
from workers.cli.egress import outcome
from workers.cli.page import Story, page, score_plot

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOB = JobSummary(
    job=17,
    title="Add",
    state=JobState.ACCEPTED,
    reason="every check passed",
    acceptance=Acceptance.VERIFIED,
    strategy="correct",
    iterations=2,
    score=1.0,
    answer="print(2)",
    answer_iteration=2,
    owner="ada",
    tags=("t",),
    spend=Spend(usd=Decimal("0.04"), local_tokens=300, cloud_tokens=0),
    budget=Budget(),
    lane=Lane.GPU,
    egress=Egress.FULL,
    priority=0,
    key=None,
    submitted_at=NOON,
    started_at=NOON,
    finished_at=NOON + timedelta(minutes=1),
    cancel_requested=False,
    worker=None,
    phase="",
    live_tokens=0,
    operator="",
    now=NOON + timedelta(minutes=2),
)
TRIED = IterationRow(
    iteration=1,
    operator="draft",
    model="m",
    candidate="print(1)",
    score=0.5,
    guard=None,
    verdicts=(VerdictRow(check="python:a.py", passed=False, held_out=True, score=0.0, feedback="not 2"),),
    prompt_tokens=100,
    cached_tokens=40,
    completion_tokens=20,
    usd=Decimal(0),
    seconds=2.0,
    worker="w",
    epoch=1,
    decision="revise (1.0)",
)
ROUNDS = (TRIED, dataclasses.replace(TRIED, iteration=2, score=1.0, decision="stop (accepted)"))
VOID = {"meta", "br"}


class Tags(HTMLParser):
    """Fails where a tag is not closed in order; keeps the names of tags and the text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_tells_what_was_tried_and_what_came_of_it() -> None:
    tags = Tags(page(JOB, ROUNDS))
    text = "\n".join(tags.text)
    for said in (
        "accepted (verified)",
        "python:a.py",
        "(held out)",
        "not 2",
        "print(1)",
        "print(2)",
        "stop (accepted)",
    ):
        assert said in text
    assert tags.seen.count("svg") == 2
    assert tags.seen.count("circle") == 2
    assert tags.seen.count("rect") == 6
    assert "http" not in page(JOB, ROUNDS).replace("http-equiv", "")  # nothing is fetched


def test_the_story_of_a_job_that_failed_is_on_its_page() -> None:
    failed = dataclasses.replace(
        JOB, state=JobState.FAILED, acceptance=None, answer=None, reason="a defect: ValueError: no", iterations=0
    )
    events = (
        EventRow(number=1, job=17, at=NOON, kind="lease expired", detail="no token for 60 s"),
        EventRow(number=2, job=17, at=NOON, kind="defect", detail="Traceback:\n  File <x>\nValueError: no"),
    )
    judges = ((1, "judge:style.md, vote 2", "FAIL\nIt says `print`."),)
    made = page(failed, (TRIED,), story=Story(problem="Print <2>.", events=events, judges=judges))
    text = "\n".join(Tags(made).text)
    for said in ("failed", "a defect: ValueError: no", "Print <2>.", "lease expired", "no token for 60 s", "File <x>"):
        assert said in text
    assert "judge:style.md, vote 2 said" in text
    assert "It says `print`." in text
    assert made.index("a defect") < made.index("Print &lt;2&gt;.") < made.index("Traceback")


def test_the_best_so_far_never_falls() -> None:
    fallen = (*ROUNDS, dataclasses.replace(TRIED, iteration=3, score=0.0))
    points = score_plot(fallen).split('points="')[1].split('"')[0].split()
    heights = [float(point.split(",")[1]) for point in points]
    assert heights[0] > heights[1] == heights[2]  # downwards in SVG


def test_values_are_drawn_from_the_least_to_the_greatest_and_the_line_is_the_answers() -> None:
    measured = [(40.0, True), (None, False), (35.0, True), (39.0, False)]
    rounds = [
        dataclasses.replace(TRIED, iteration=number, value=value, improved=improved)
        for number, (value, improved) in enumerate(measured, 1)
    ]
    plot = score_plot(rounds)
    heights = [float(point.split(",")[1]) for point in plot.split('points="')[1].split('"')[0].split()]
    assert heights[0] == heights[1] < heights[2] == heights[3]  # downwards in SVG: 40 is the greatest, 35 the answer
    assert plot.count("<circle") == 3
    assert "iteration 3: 35" in plot
    assert Tags(page(dataclasses.replace(JOB, value=35.0), rounds)).seen.count("circle") == 3


def test_a_value_that_never_changed_has_a_plot() -> None:
    assert Tags(score_plot([dataclasses.replace(TRIED, value=7.0, improved=True)])).seen.count("circle") == 1


def test_a_job_without_iterations_has_a_page() -> None:
    waiting = dataclasses.replace(JOB, state=JobState.QUEUED, acceptance=None, answer=None, score=None)
    tags = Tags(page(waiting, ()))
    assert "No iteration has been recorded yet." in tags.text
    assert "svg" not in tags.seen


def test_what_is_invisible_stands_on_the_page_as_an_escape() -> None:
    hidden = "safe\u202egnp\u200b\U000e0041\x1b[1m"
    verdict = dataclasses.replace(TRIED.verdicts[0], feedback=hidden)
    row = dataclasses.replace(TRIED, candidate=hidden, decision=hidden, verdicts=(verdict,))
    made = page(dataclasses.replace(JOB, title=hidden, answer=hidden), (row,))
    assert made.count(r"safe\u202egnp\u200b\U000e0041\x1b[1m") == 6
    assert not any(letter in made for letter in "\u202e\u200b\U000e0041\x1b")


@given(st.text() | st.sampled_from(["<script>x</script>", "</pre><img src=x onerror=y>", "</title>", '" onload="x']))
def test_whatever_a_model_writes_adds_no_tag_and_no_attribute(written: str) -> None:
    verdict = dataclasses.replace(TRIED.verdicts[0], check="c" + written, feedback="f" + written)
    row = dataclasses.replace(TRIED, candidate="c" + written, decision=written, operator=written, verdicts=(verdict,))
    job = dataclasses.replace(JOB, title=written, answer=written, reason=written, tags=(written,), owner=written)
    plain = Tags(page(JOB, (TRIED,)))
    assert Tags(page(job, (row,))).seen == plain.seen


HELP = EgressRow(
    escalation=1,
    iteration=2,
    kind="hint on best",
    model="gpt-5.4",
    state="done",
    response_id="r",
    request="{}",
    reserved_usd=Decimal("0.15"),
    usd=Decimal("0.0413"),
    prompt_tokens=900,
    cached_tokens=0,
    completion_tokens=600,
    error="",
    created_at=NOON,
    finished_at=NOON,
    score_before=0.25,
    score_after=0.75,
)


def test_help_is_shown_with_what_it_cost_and_whether_it_helped() -> None:
    advised = dataclasses.replace(TRIED, iteration=2, operator="hint", candidate=None, hint="Sort <first>.")
    lost = dataclasses.replace(HELP, state="unknown", error="it hung up", score_after=None, finished_at=None)
    made = page(JOB, (TRIED, advised), "", [HELP, lost], "an estimate: $1.00")
    text = "\n".join(Tags(made).text)
    assert "Help" in text
    assert "hint on best\ngpt-5.4\ndone\n1.5k\n$0.04\n0.25\n0.75\nno" in text
    assert "unknown: it hung up\n1.5k\n$0.15 at most\n0.25\n-\nno" in text
    assert "advice\nSort <first>." in text
    assert "; an estimate: $1.00" in text
    assert "Help" not in "\n".join(Tags(page(JOB, ROUNDS)).text)


def test_help_on_a_job_with_a_score_says_whether_the_best_was_invalid() -> None:
    measured = dataclasses.replace(HELP, measured=True, score_before=0.0, score_after=1.0, value_after=-12.5)
    made = page(JOB, (TRIED,), "", [measured])
    assert "hint on best\ngpt-5.4\ndone\n1.5k\n$0.04\ninvalid\n-12.5\nno" in "\n".join(Tags(made).text)
    assert outcome(measured) == "the best before scored invalid, with it -12.5, not accepted"

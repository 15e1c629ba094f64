"""The page over HTTP: what it shows, to whom, under which name, and with which headers."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from tasks.errors import DatabaseUnavailable
from tests.board import ScriptedBoard, ScriptedClient
from tests.pageserver import serving
from workers.ui.pages import usual_hours

PAGES = (
    "/", "/?hours=168", "/jobs", "/jobs?q=booked&state=running&strategy=correct&tag=intervals", "/jobs?before=5",
    "/compare", "/compare?job=1&job=3", "/jobs/1", "/jobs/1?before=20", "/jobs/3", "/jobs/1/iterations/59",
    "/jobs/1/iterations/60", "/jobs/1/now", "/jobs/1/calls/1", "/jobs/1/events", "/jobs/1/events?before=20",
    "/jobs/1/egress",
)  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_each_page_reads_without_a_script_and_carries_nothing_inline(path: str) -> None:
    with serving() as page:
        answer = page.get(path)
    assert answer.status == 200, answer.body
    assert "<main" in answer.body
    assert re.findall(r"<script[^>]*>", answer.body) == ['<script src="/static/ui.js" defer>']
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", answer.body)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", answer.body)


@pytest.mark.parametrize(("minutes", "hours"), [(None, 12), (0, 1), (59, 1), (61, 12), (60 * 24 * 30, 12)])
def test_the_overview_of_a_young_queue_begins_an_hour_ago(minutes: int | None, hours: int) -> None:
    first = None if minutes is None else datetime.now(UTC) - timedelta(minutes=minutes)
    assert usual_hours(first) == hours


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/jobs/99", "/jobs/3/answer", "/health", "/static/ui.js"])
def test_each_answer_forbids_frames_code_from_elsewhere_and_keeping(path: str) -> None:
    with serving() as page:
        headers = page.get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == ("no-cache" if path.startswith("/static") else "no-store")


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/1", "/jobs/1/calls/1", "/changes", "/jobs/3/answer"])
def test_nothing_is_shown_to_who_has_not_signed_in(path: str) -> None:
    with serving() as page:
        page.cookie = "redraft-ui=guessed"
        answer = page.get(path)
    assert answer.status == 401
    assert "Merge the booked slots" not in answer.body


@pytest.mark.parametrize("path", ["/", "/sign-in", "/health", "/static/ui.js", "/enter?key=1"])
def test_a_foreign_host_name_is_refused(path: str) -> None:
    with serving(hosts=frozenset({"redraft.example.org"})) as page:
        assert page.get(path, Host="attacker.example").status == 403
        assert page.get(path, Host=f"attacker.example:{page.port}").status == 403
        assert page.get("/health", Host="redraft.example.org").status == 200
        assert page.get("/health", Host="localhost:1234").status == 200


@pytest.mark.parametrize("path", ["/?hours=5", "/?hours=x", "/jobs?state=odd", "/jobs?before=-1", "/compare?job=x"])
def test_a_request_that_is_not_allowed_is_a_page_that_says_so(path: str) -> None:
    with serving() as page:
        answer = page.get(path)
    assert answer.status == 400
    assert "<h1>" in answer.body


@pytest.mark.parametrize("path", ["/jobs/99", "/jobs/0", "/jobs/99999999999999999999", "/jobs/1/iterations/61", "/x"])
def test_what_is_not_there_is_a_page_that_says_so(path: str) -> None:
    with serving() as page:
        assert page.get(path).status == 404


def test_a_database_that_is_away_is_a_page_that_says_so_without_its_address() -> None:
    class Away(ScriptedBoard):
        def lanes(self) -> tuple[()]:
            raise DatabaseUnavailable("Postgres did not answer: password of ada at db.example")

    with serving(ScriptedClient(Away())) as page:
        answer = page.get("/jobs")
    assert answer.status == 503
    assert "db.example" not in answer.body


def test_a_defect_is_a_page_without_a_traceback() -> None:
    class Broken(ScriptedBoard):
        def lanes(self) -> tuple[()]:
            raise ZeroDivisionError("a secret of the code")

    with serving(ScriptedClient(Broken())) as page:
        answer = page.get("/jobs")
    assert answer.status == 500
    assert "secret" not in answer.body
    assert "Traceback" not in answer.body


def test_a_link_signs_in_once_and_its_cookie_is_for_this_site_alone() -> None:
    with serving() as page:
        link, page.cookie = page.link(time.time()), ""
        entered = page.get(link)
        again = page.get(link)
        page.cookie = entered.headers["Set-Cookie"].partition(";")[0]
        assert page.get("/").status == 200
    assert entered.status == 200
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(entered.headers["Set-Cookie"].split("; "))
    assert again.status == 403
    assert "Set-Cookie" not in again.headers


def test_a_link_is_in_no_log(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level("DEBUG")
    with serving() as page:
        link = page.link(time.time())
        page.get(link)
        page.get(link)
    key = link.rpartition("=")[2]
    assert key not in caplog.text + "".join(capfd.readouterr())


def test_a_budget_is_changed_as_the_command_line_changes_it() -> None:
    with serving() as page:
        typed = {"token": page.token, "iterations": "60", "usd": " 2.50 ", "hours": ""}
        assert page.post("/jobs/1/budget", typed).status == 303
        refused = [
            page.post("/jobs/1/budget", {"token": page.token, **form})
            for form in ({}, {"iterations": "0"}, {"hours": "<b>soon</b>"}, {"tokens": "2,000"}, {"usd": "1,hours=9"})
        ]
        assert page.post("/jobs/1/budget", {"iterations": "60"}).status == 403
    assert page.client.asked == [("edit usd=2.5 iterations=60", 1)]
    assert [answer.status for answer in refused] == [400] * 5
    assert "a whole number from 1 to 10,000" in refused[1].body
    assert "&lt;b&gt;soon" in refused[2].body
    assert "<b>soon" not in refused[2].body
    assert "numbers without commas" in refused[3].body


@pytest.mark.parametrize("action", ["cancel", "pause", "resume"])
def test_a_form_of_the_page_acts_on_the_job_and_comes_back_to_it(action: str) -> None:
    with serving() as page:
        answer = page.post(f"/jobs/1/{action}", {"token": page.token})
    assert (answer.status, answer.headers["Location"]) == (303, "/jobs/1")
    assert page.client.asked == [(action, 1)]


def test_a_hint_and_an_answer_reach_the_job_and_what_is_not_allowed_is_said() -> None:
    with serving() as page:
        assert page.post("/jobs/1/hint", {"token": page.token, "text": "sort\r\nfirst"}).status == 303
        assert page.post("/jobs/1/reply", {"token": page.token, "text": "yes"}).status == 303
        assert page.post("/jobs/1/hint", {"text": "from elsewhere"}).status == 403
        refused = page.post("/jobs/1/reply", {"token": page.token, "text": ""})
    assert page.client.asked == [("hint sort\nfirst", 1), ("answer yes", 1)]
    assert refused.status == 400
    assert "some &lt;words&gt;" in refused.body


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({}, {}),
        ({"token": "guessed"}, {}),
        ({"token": "right"}, {"Origin": "http://attacker.example"}),
        ({"token": "right"}, {"Origin": "null"}),
        ({"token": "right"}, {"Origin": ""}),
        ({"token": "right"}, {"Sec_Fetch_Site": "cross-site"}),
        ({"token": "right"}, {"Sec_Fetch_Site": "same-site"}),
    ],
)
def test_a_form_from_elsewhere_does_nothing(form: dict[str, str], headers: dict[str, str]) -> None:
    with serving() as page:
        filled = {name: page.token if value == "right" else value for name, value in form.items()}
        assert page.post("/jobs/1/cancel", filled, **headers).status == 403
        assert page.get("/jobs/1/cancel").status == 405
    assert page.client.asked == []


def test_another_sessions_token_does_nothing() -> None:
    with serving() as page:
        token = page.token
        page.sign_in()
        assert page.post("/jobs/1/cancel", {"token": token}).status == 403
    assert page.client.asked == []


def test_who_signs_out_sees_nothing_more() -> None:
    with serving() as page:
        assert page.post("/sign-out", {"token": page.token}).status == 303
        assert page.get("/").status == 401


def test_a_login_and_password_sign_in() -> None:
    with serving() as page:
        page.cookie = ""
        answer = page.post("/sign-in", {"login": "ada", "password": "hush"})
        page.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        assert page.get("/").status == 200
        page.cookie = ""
        assert page.post("/sign-in", {"login": "ada", "password": "x"}, Origin="http://attacker.example").status == 403


def test_an_open_page_hears_of_a_change_within_a_second() -> None:
    import http.client

    with serving() as page:
        connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)
        connection.request("GET", "/changes?job=1", headers={"Cookie": page.cookie})
        answer = connection.getresponse()
        assert answer.getheader("Content-Type") == "text/event-stream"
        assert answer.readline() == b"event: change\n"
        page.client.board.at, begun = "2", time.monotonic()
        while answer.readline() != b"event: change\n":
            pass
        assert time.monotonic() - begun < 1.0
        connection.close()


def test_an_answer_is_sent_as_a_file_that_no_browser_shows() -> None:
    with serving() as page:
        answer = page.get("/jobs/3/answer")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith("attachment")

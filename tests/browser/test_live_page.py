"""The live page in a real Chromium: nothing that others wrote runs, whoever can't see or use a mouse can use it, it
fits a phone, reads without a script, and follows what happens."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.board import ScriptedBoard, ScriptedClient
from tests.hostiletexts import hostile_texts
from tests.pageserver import Page, serving

pytestmark = pytest.mark.browser
PAGES = (
    "/", "/jobs", "/compare?job=1&job=2&job=3", "/jobs/1", "/jobs/3", "/jobs/1/iterations/59", "/jobs/1/now",
    "/jobs/1/calls/1", "/jobs/1/events", "/jobs/1/egress",
)  # fmt: skip
WIDTHS = (390, 1200)
# An open page is a second behind at most; a machine that is busy with other tests gets more.
SOON_MS = 5_000
# By the page itself: it follows its job, and what is found may be gone before somebody outside has clicked on it.
CLICKS = "() => [...document.querySelectorAll('WHAT')].forEach((node) => node.click())"


@contextlib.contextmanager
def visiting(browser: Any, page: Page, **options: Any) -> Iterator[Any]:
    """A tab of somebody who has signed in."""
    context = browser.new_context(**options)
    context.add_cookies([{"name": "redraft-ui", "value": page.cookie.partition("=")[2], "url": page.origin}])
    try:
        yield context.new_page()
    finally:
        context.close()


def test_of_five_hundred_hostile_texts_none_runs_and_none_becomes_an_element(browser: Any) -> None:
    texts, place = hostile_texts(500), itertools.count()

    def next_text(_: str) -> str:
        return texts[next(place) % len(texts)] or "-"

    injected, asked = list[str](), list[str]()
    with serving(ScriptedClient(ScriptedBoard(next_text))) as page, visiting(browser, page) as tab:
        tab.expose_function("pwned", lambda *which: injected.append(f"text {which}"))
        tab.on("dialog", lambda dialog: (injected.append("a dialog"), dialog.dismiss()))
        tab.on("request", lambda request: asked.append(request.url))
        for path in PAGES:
            tab.goto(page.origin + path)
            alien = tab.evaluate(
                """() => [...document.querySelectorAll('iframe,object,embed,img,video,style,base,math,form[action^=j],'
                   + 'svg script,svg animate,meta[http-equiv],[onload],[onerror],[onfocus],[ontoggle],[srcdoc],'
                   + '[onmouseover],[onbegin],[style]')].map((node) => node.outerHTML.slice(0, 200))"""
            )
            assert not alien, (path, alien)
            tab.evaluate(CLICKS.replace("WHAT", "details:not([open]) > summary"))
        tab.evaluate(CLICKS.replace("WHAT", "a#bait"))
    assert next(place) > len(texts)
    assert injected == []
    assert [url for url in asked if not url.startswith(page.origin)] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_object_to(browser: Any, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    with serving() as page, visiting(browser, page, color_scheme=scheme, bypass_csp=True) as tab:
        for path in (*PAGES, "/sign-in", "/nothing"):
            tab.goto(page.origin + path)
            found = axe.Axe().run(tab).response["violations"]
            assert not found, (path, [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found])


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_its_window(browser: Any, width: int) -> None:
    client = ScriptedClient(ScriptedBoard(lambda name: "unbroken" * 60 if name != "owner" else "ada"))
    with serving(client) as page, visiting(browser, page, viewport={"width": width, "height": 800}) as tab:
        for path in PAGES:
            tab.goto(page.origin + path)
            assert tab.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, path


def test_each_page_reads_without_a_script(browser: Any) -> None:
    with serving() as page, visiting(browser, page, java_script_enabled=False) as tab:
        for path in PAGES:
            tab.goto(page.origin + path)
            assert len(tab.inner_text("main")) > 40, path


def test_an_open_page_follows_and_keeps_what_somebody_has_opened_and_typed(browser: Any) -> None:
    with serving() as page, visiting(browser, page) as tab:
        tab.goto(page.origin + "/jobs/1")
        tab.wait_for_selector("#live.on")
        tab.click("details[data-key=answer] > summary")
        page.client.board.text = lambda name: "another text" if name == "phase" else "the text"
        page.client.board.at = "2"
        tab.wait_for_selector(".now >> text=another text", timeout=SOON_MS)
        assert tab.evaluate("document.querySelector('details[data-key=answer]').open")


def test_an_open_page_shows_the_text_that_is_being_written(browser: Any) -> None:
    with serving() as page, visiting(browser, page) as tab:
        tab.goto(page.origin + "/jobs/1")
        tab.wait_for_selector(".stream")
        page.client.board.text = lambda name: "def written_now" if name == "writing" else "-"
        page.client.board.text_at = "2"
        tab.wait_for_selector("#flight >> text=written_now", timeout=SOON_MS)
        assert page.client.board.watched


def test_the_keyboard_reaches_every_action(browser: Any) -> None:
    with serving() as page, visiting(browser, page) as tab:
        tab.goto(page.origin + "/jobs/1")
        reached = set()
        for _ in range(30):
            tab.keyboard.press("Tab")
            reached.add(tab.evaluate("document.activeElement.textContent.trim().slice(0, 20)"))
            if "Pause" in reached and tab.evaluate("document.activeElement.textContent") == "Cancel…":
                tab.keyboard.press("Enter")
                tab.keyboard.press("Tab")
                with tab.expect_navigation():
                    tab.keyboard.press("Enter")
                break
    assert {"Skip to the content", "Overview", "Jobs", "Pause", "Cancel…"} <= reached
    assert page.client.asked == [("cancel", 1)]


def test_a_budget_is_typed_and_kept_while_the_page_follows(browser: Any) -> None:
    with serving() as page, visiting(browser, page) as tab:
        tab.goto(page.origin + "/jobs/1")
        tab.wait_for_selector("#live.on")
        tab.click("details[data-key=budget] > summary")
        tab.fill("input[name=iterations]", "60")
        tab.focus("details[data-key=budget] > summary")
        page.client.board.text = lambda name: "another text" if name == "phase" else "the text"
        page.client.board.at = "2"
        tab.wait_for_selector(".now >> text=another text", timeout=SOON_MS)
        assert tab.input_value("input[name=iterations]") == "60"
        with tab.expect_navigation():
            tab.click("text=Change the budget")
        assert tab.url == page.origin + "/jobs/1"
    assert page.client.asked == [("edit iterations=60", 1)]

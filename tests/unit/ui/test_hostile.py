"""What others wrote stays text on every page: the elements and attributes are those of a page with ordinary words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from tests.board import ScriptedBoard, ScriptedClient
from tests.hostiletexts import DECEPTIONS, hostile_texts
from tests.pageserver import serving
from workers.ui.text import shown

PAGES = (
    "/", "/jobs", "/compare?job=1&job=2&job=3", "/jobs/1", "/jobs/3", "/jobs/1/iterations/59", "/jobs/1/now",
    "/jobs/1/calls/1", "/jobs/1/events", "/jobs/1/egress",
)  # fmt: skip
# What may depend on a text: how long a list of lines is, what a field's own words lead to.
OF_TEXT = re.compile(r"value|href|title|class|open")
HIDDEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]"
)


class Structure(HTMLParser):
    """The elements of a page with the names of their attributes, and the values of those that no text may reach."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = set[tuple[str, tuple[str, ...]]]()
        self.addresses = set[str]()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Keeps it."""
        self.elements.add((tag, tuple(sorted(name for name, _ in attributes))))
        self.addresses |= {str(value) for name, value in attributes if name in ("href", "src", "action")}


class OneAfterAnother:
    """Gives each field the next hostile text; `given` counts them."""

    def __init__(self, texts: tuple[str, ...], start: int = 0) -> None:
        self._texts, self.given = texts, start

    def __call__(self, name: str) -> str:
        """The next one."""
        self.given += 1
        return self._texts[self.given % len(self._texts)] or "-"


def structures(client: ScriptedClient) -> Iterator[tuple[str, str, Structure]]:
    """Each page's address, its HTML, and what it is made of."""
    with serving(client) as page:
        for path in PAGES:
            answer = page.get(path)
            assert answer.status == 200, (path, answer.body)
            structure = Structure()
            structure.feed(answer.body)
            yield path, answer.body, structure


def test_five_hundred_hostile_texts_add_no_element_and_no_attribute_to_any_page() -> None:
    texts = hostile_texts(500)
    assert len(set(texts)) > 470
    ordinary = {path: structure.elements for path, _, structure in structures(ScriptedClient())}
    giver = OneAfterAnother(texts)
    given = 0
    while giver.given < 2 * len(texts):
        for path, html, structure in structures(ScriptedClient(ScriptedBoard(giver))):
            alien = {element for element in structure.elements - ordinary[path] if not _expected(element)}
            assert not alien, (path, alien)
            assert all(
                (address.startswith("/") and not address.startswith("//")) or address == "#main"
                for address in structure.addresses
            ), path
            assert not HIDDEN.search(html), path
        assert giver.given > given
        given = giver.given


def _expected(element: tuple[str, tuple[str, ...]]) -> bool:
    """A long event is folded, a diff has lines of other kinds: elements of ours that ordinary words don't bring."""
    return element in {
        ("details", ("data-key",)), ("summary", ()), ("pre", ("tabindex",)), ("span", ("class",)), ("p", ("class",)),
        ("code", ()), ("option", ("value",)), ("li", ()), ("ul", ("class",)),
        ("pre", ("class", "tabindex")), ("details", ("data-key", "open")),
    }  # fmt: skip


@pytest.mark.parametrize("text", DECEPTIONS)
def test_a_text_is_escaped_once_for_markup_and_once_for_deception(text: str) -> None:
    html = shown(text)
    assert not HIDDEN.search(html.replace("\n", "").replace("\t", ""))
    assert not set(html) & set("<>\"'")
    html.encode()


def test_bytes_that_are_no_text_are_shown_as_escapes() -> None:
    assert shown(b"a\xff<b>") == "a\\xff&lt;b&gt;"

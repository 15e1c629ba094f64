"""The documentation says what is so: links lead somewhere, names exist, tables equal the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops import reference
from tasks.settings import Settings
from tests.pages import DOCS, ROOT, anchors, blocks, links, pages, spans, table
from workers.cli.main import COMMANDS

README_LINES = 180
# History: what an entry names may have gone since.
CHANGELOG = ROOT / "CHANGELOG.md"
PAGES = pages()
CURRENT = tuple(page for page in PAGES if page != CHANGELOG)
_FILE = re.compile(
    r"(?:tasks|workers|ops|tests|migrations)/[\w./*-]*\w[*/]?|docker-compose\.yml|Makefile|pyproject\.toml"
)
_COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?redraft ([a-z]+)(?: ([a-z]+))?", re.MULTILINE)
_GROUPS = {name for name, entry in COMMANDS.items() if entry.group}


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_links_and_files_are_seen_at_all() -> None:
    """Else the tests of each page would pass over nothing."""
    assert len([link for page in PAGES for link in links(page)]) > len(PAGES)
    assert len([path for page in CURRENT for path in filter(_FILE.fullmatch, spans(page))]) > len(CURRENT)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page: Path) -> None:
    for link in links(page):
        assert link.target.exists(), f"{link.target} does not exist"
        if link.anchor:
            assert link.anchor in anchors(link.target), f"{named(link.target)} has no heading for #{link.anchor}"


@pytest.mark.parametrize("page", CURRENT, ids=named)
def test_every_file_that_is_named_exists(page: Path) -> None:
    for path in filter(_FILE.fullmatch, spans(page)):
        assert any(ROOT.glob(path.rstrip("/"))), f"there is no {path}"


@pytest.mark.parametrize("page", CURRENT, ids=named)
def test_every_command_that_is_named_exists(page: Path) -> None:
    helps = dict(
        re.findall(r"^## redraft ([a-z ]+)\n\n```text\n(.*?)^```$", reference.page(), re.MULTILINE | re.DOTALL)
    )
    for text in (*spans(page), *blocks(page, "sh"), *blocks(page, "text")):
        for command, word in _COMMAND.findall(text):
            assert command in COMMANDS, f"there is no `redraft {command}`"
            if command in _GROUPS and word:
                assert f"{command} {word}" in helps, f"there is no `redraft {command} {word}`"


@pytest.mark.parametrize("page", CURRENT, ids=named)
def test_every_target_of_make_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in (*spans(page), *blocks(page, "sh")):
        for target in re.findall(r"^(?:[A-Z_]+=\S+ )*make ([a-z-]+)", text, re.MULTILINE):
            assert target in targets, f"there is no `make {target}`"


def test_the_reference_of_commands_is_what_help_prints() -> None:
    assert reference.PAGE.read_text() == reference.page(), "the help has changed: run `make docs`"


def test_the_table_of_settings_names_each_with_its_default() -> None:
    rows = {name: default for name, default, _ in table(DOCS / "operations.md", "Settings")}
    assert list(rows) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        if field.default_factory is None:
            assert rows[name] == _shown(field.default), name


def _shown(default: object) -> str:
    """A default as the table has it."""
    match default:
        case None:
            return "none"
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case frozenset() | tuple():
            return ",".join(map(str, default)) or "empty"
        case _:
            return str(default) or "empty"


def test_every_view_has_a_section_and_there_are_twenty_queries() -> None:
    from workers.cli.sql import VIEWS

    page = DOCS / "sql.md"
    assert all(table(page, view) for view in VIEWS)
    assert len(blocks(page, "sql")) == 20


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_every_page_of_the_documentation_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen:
            seen.add(page)
            waiting += [link.target for link in links(page) if link.target.suffix == ".md"]
    assert set(DOCS.glob("*.md")) <= seen


def test_the_methods_of_the_client_that_are_named_exist() -> None:
    from tasks.client import Client

    methods = {name for name in vars(Client) if not name.startswith("_")} - {"close", "load", "reader", "rules"}
    page = (DOCS / "python.md").read_text()
    cells = re.findall(r"^\| (`[a-z_`, ]+`) \|", page, re.MULTILINE)
    assert set(re.findall(r"`([a-z_]+)`", " ".join(cells))) == methods - {"relay_connected", "workers"}

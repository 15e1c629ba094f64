"""The board and the alert rules name only metrics and labels that there are, and each alert has its page."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
import yaml

from tests.pages import DOCS, ROOT, anchors
from workers.metrics.families import FAMILIES

GRAFANA = ROOT / "ops" / "grafana"
BOARD: dict[str, Any] = json.loads((GRAFANA / "board.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load((GRAFANA / "alerts.yml").read_text())["groups"][0]["rules"]
PANELS: list[dict[str, Any]] = BOARD["panels"]
BOARD_QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel.get("targets", ())]
QUERIES = [*BOARD_QUERIES, *((rule["alert"], rule["expr"]) for rule in RULES)]
LABELS = {family.name: set(family.labels) for family in FAMILIES}


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_a_query_names_metrics_and_labels_that_there_are(title: str, query: str) -> None:
    names = set(re.findall(r"\bredraft_\w+", query)) or {"up"}
    assert names <= {*LABELS, "up"}, title
    for name, matchers in re.findall(r"\b(redraft_\w+)\{([^}]*)\}", query):
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= LABELS[name], title
    for grouped in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query):
        for label in grouped.split(","):
            assert any(label.strip() in LABELS[name] for name in names), title


@pytest.mark.parametrize(
    "panel", [panel for panel in PANELS if panel["type"] != "row"], ids=lambda panel: panel["title"]
)
def test_what_a_panel_calls_its_lines_by_are_labels_of_its_queries(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            names = re.findall(r"\bredraft_\w+", target["expr"])
            assert any(label in LABELS[name] for name in names)


def test_every_metric_is_on_the_board() -> None:
    shown = set(re.findall(r"\bredraft_\w+", " ".join(query for _, query in BOARD_QUERIES)))
    assert shown == set(LABELS)


def test_panels_lie_beside_each_other_and_have_numbers_of_their_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    places = [panel["gridPos"] for panel in PANELS]
    for place, following in pairwise(places):
        assert place["x"] + place["w"] <= 24
        below = following["y"] >= place["y"] + place["h"]
        beside = following["y"] == place["y"] and following["x"] >= place["x"] + place["w"]
        assert below or beside


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_leads_to_its_page(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor == rule["alert"].lower()
    assert anchor in anchors(ROOT / page)


def test_the_runbook_has_a_page_for_alerts_that_there_are_and_no_other() -> None:
    headings = re.findall(r"^## (Redraft\w+)$", (DOCS / "runbooks.md").read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in RULES]


def test_the_page_on_metrics_names_each_with_its_labels() -> None:
    rows = re.findall(
        r"^\| `(redraft_\w+)` \| (counter|gauge) \| ([^|]*) \| ([^|]+) \|$",
        (DOCS / "metrics.md").read_text(),
        re.MULTILINE,
    )
    assert [(name, kind, labels, meaning) for name, kind, labels, meaning in rows] == [
        (family.name, family.kind, ", ".join(f"`{label}`" for label in family.labels), family.help)
        for family in FAMILIES
    ]

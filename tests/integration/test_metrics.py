"""The process that Prometheus scrapes, with a real Prometheus: every query of the board and every alert is evaluated on
what it serves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.metricrows import ROWS
from tests.pages import ROOT
from tests.prometheus import Prometheus, programs, scraping
from workers.http_client import request
from workers.metrics.families import FAMILIES

pytestmark = pytest.mark.integration
GRAFANA = ROOT / "ops" / "grafana"
PANELS: list[dict[str, Any]] = json.loads((GRAFANA / "board.json").read_text())["panels"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel.get("targets", ())]
ALERTS: list[dict[str, Any]] = yaml.safe_load((GRAFANA / "alerts.yml").read_text())["groups"][0]["rules"]
# What the rows of the test make true at once, whatever it has to last for.
HOLD = {
    *("RedraftPartDown", "RedraftEngineDown", "RedraftSlotsIdle", "RedraftBudgetNearEnd", "RedraftEscalationsUnknown"),
    "RedraftCloudCircuitOpen",
}


@pytest.fixture
def server(login: Callable[..., str], admin_url: str, tmp_path: Path) -> Iterator[str]:
    """`redraft metrics` over a database with a number for everything, beside a home whose relay is down."""
    with psycopg.connect(admin_url.replace("+psycopg", "", 1), autocommit=True) as admin:
        admin.execute(ROWS.encode())
    (tmp_path / "run").mkdir()
    part = {"name": "relay", "pid": None, "port": None, "address": None, "health": "down"}
    (tmp_path / "run" / "parts.json").write_text(json.dumps([part]))
    environment = {
        **os.environ,
        "REDRAFT_HOME": str(tmp_path),
        "REDRAFT_DATABASE_URL": login("observer", "redraft_metrics"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli.main", "metrics", "--port=0"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        yield process.stderr.readline().strip()
    finally:
        process.terminate()
        assert process.wait(timeout=20) == 0
        process.stderr.close()


@pytest.fixture
def prometheus(server: str, tmp_path: Path) -> Iterator[Prometheus]:
    """One that has scraped the server several times."""
    with scraping(server.split("/")[2], GRAFANA / "alerts.yml", tmp_path) as prometheus:
        deadline = time.monotonic() + 60
        while not any(
            float(found["value"][1]) >= 3 for found in prometheus.ask('count_over_time(up{job="redraft"}[1m])')
        ):
            assert time.monotonic() < deadline, "it scrapes nothing"
            time.sleep(0.2)
        yield prometheus


def test_every_metric_is_served(server: str) -> None:
    served = {sample.name for family in text_string_to_metric_families(request(server)) for sample in family.samples}
    assert served == {family.name for family in FAMILIES}


def test_prometheus_answers_every_query_of_the_board_and_every_alert(prometheus: Prometheus) -> None:
    for title, query in QUERIES:
        assert prometheus.ask(query), f"{title}: {query} finds nothing"
    for rule in ALERTS:
        prometheus.ask(rule["expr"])
    rules = prometheus.rules()
    assert set(rules) == {rule["alert"] for rule in ALERTS}
    assert {name for name, rule in rules.items() if rule["health"] == "err"} == set()
    assert {rule["alert"] for rule in ALERTS if prometheus.ask(rule["expr"])} == HOLD


def test_the_rules_pass_their_own_tests() -> None:
    command = [str(programs() / "promtool"), "test", "rules", str(GRAFANA / "alerts_test.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration_of_the_compose_file() -> None:
    command = [str(programs() / "promtool"), "check", "config", str(GRAFANA / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

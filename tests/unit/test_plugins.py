"""Broken plug-ins, installed as any other distribution is: a folder on the path with its entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.errors import PluginUnavailable
from tasks.types import CheckSpec
from tasks.validators import registry
from tests.plugins import BROKEN, install
from workers.plugins import broken_plugins
from workers.strategies import load_strategies


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A path with every broken plug-in, and two that work."""
    install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.kinds.cache_clear()
    registry.find.cache_clear()
    yield tmp_path
    registry.kinds.cache_clear()
    registry.find.cache_clear()


@pytest.mark.parametrize(("name", "why"), BROKEN.items())
def test_a_broken_strategy_is_named_with_why(broken: Path, name: str, why: str) -> None:
    assert why in load_strategies().broken[name]


@pytest.mark.parametrize(("name", "why"), BROKEN.items())
def test_a_broken_kind_of_check_is_named_with_why(broken: Path, name: str, why: str) -> None:
    assert why in registry.broken()[name]


@pytest.mark.parametrize(("name", "why"), BROKEN.items())
def test_a_stored_check_of_a_broken_kind_waits_for_another_worker(broken: Path, name: str, why: str) -> None:
    with pytest.raises(PluginUnavailable, match="is broken on this worker") as refused:
        registry.examine([CheckSpec(name="c", kind=name, value=1)])
    assert (refused.value.kind, refused.value.name) == ("check", name)
    assert why in refused.value.why


def test_all_others_work(broken: Path) -> None:
    strategies = load_strategies()
    assert set(strategies.broken) == set(registry.broken()) == set(BROKEN)
    assert {
        "single",
        "best_of_n",
        "self_consistency",
        "correct",
        "aggregate",
        "ladder",
        "evolve",
        "climb",
        "raises",
    } == set(strategies.working)
    assert strategies.working["raises"].name == "raises"
    assert registry.find("raises").kind == "raises"
    assert registry.find("answer").kind == "answer"


def test_they_are_reported_by_kind_and_name(broken: Path) -> None:
    report = broken_plugins(load_strategies())
    assert set(report) == {f"{group} {name}" for group in ("strategy", "check") for name in BROKEN}


def test_where_none_is_broken_none_is_reported() -> None:
    assert broken_plugins(load_strategies()) == {}


def test_doctor_names_them(tmp_path: Path) -> None:
    install(tmp_path)
    code = (
        "from tasks.settings import load_settings; from workers.cli.machine import plugins;"
        "found = plugins(load_settings()); print(found.outcome, found.detail)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert output.startswith("warn ")
    for name, why in BROKEN.items():
        assert f"strategy {name}: " in output
        assert f"check {name}: " in output
        assert why in output

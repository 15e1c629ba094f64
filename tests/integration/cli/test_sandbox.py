"""`redraft sandbox`: lists and builds runtimes; `submit` refuses one that isn't on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.dryruns import check_runtimes
from tasks.errors import InvalidInput
from tasks.installed import installed_rules
from tasks.settings import Settings
from tasks.types import CheckSpec, JobSpec
from workers.cli import machine

pytestmark = pytest.mark.integration
Redraft = Callable[..., Any]


def job(runtime: str) -> JobSpec:
    check = CheckSpec(name="c", kind="command", value=["true"], runtime=runtime)
    return JobSpec(title="t", problem="p", checks=(check,))


def settings(tmp_path: Path, **fields: Any) -> Settings:
    return Settings(**{"home": tmp_path / "home", "cache": tmp_path / "cache", **fields})


def test_ls_shows_each_runtime_with_its_packages(redraft: Redraft) -> None:
    rows = {row["runtime"]: row for row in json.loads(redraft("sandbox", "ls", "--json").out)["runtimes"]}
    assert rows["numpy"]["packages"][0].startswith("numpy==")
    assert rows["numpy"]["lock"] is None
    assert "numpy\t" in redraft("sandbox", "ls").out


def test_a_packaged_runtime_is_built_by_its_name_alone(redraft: Redraft) -> None:
    said = redraft("sandbox", "add", "numpy", "--json")
    assert (said.code, json.loads(said.out)["built"]) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["mine"], "PACKAGE: ''"),
        (["Mine", "six"], "NAME: 'Mine'"),
        (["mine", "six", "--lock", "x"], "PACKAGE: 'six'"),
        (["mine", "--lock", "missing"], "--lock: 'missing'"),
        (["mine", "https://example.org/six.whl"], "PACKAGE: 'https://example.org/six.whl'"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(redraft: Redraft, arguments: list[str], named: str) -> None:
    said = redraft("sandbox", "add", *arguments)
    assert (said.code, said.out) == (2, "")
    assert named in said.err


def test_doctor_lists_the_runtimes(tmp_path: Path) -> None:
    finding = machine.runtimes(settings(tmp_path))
    assert finding.outcome == "ok"
    assert finding.detail.startswith("numpy (numpy==")


def test_submit_refuses_a_runtime_that_this_machine_lacks(tmp_path: Path) -> None:
    known = installed_rules(settings(tmp_path), dry_runs=True).runtimes
    assert known is not None
    check_runtimes([("p: checks[0]", job("").checks[0]), ("p: checks[1]", job("numpy").checks[0])], known)
    refusal = r"p: checks\[0\].runtime: 'nowhere' is not allowed; runtimes here are "
    with pytest.raises(InvalidInput, match=refusal):
        check_runtimes([("p: checks[0]", job("nowhere").checks[0])], known)


def test_submit_leaves_runtimes_to_the_workers_of_a_deployment(tmp_path: Path) -> None:
    elsewhere = settings(tmp_path, database_url="postgresql+psycopg://a@b/c")
    assert installed_rules(elsewhere, dry_runs=True).runtimes is None

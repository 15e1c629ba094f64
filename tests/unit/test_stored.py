"""What is read of a stored job keeps to the limits of a submission."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks import attachments, jobchecks, jobfields
from tasks.errors import InvalidInput, MalformedJob
from tasks.store import stored
from tasks.types import Egress, Lane
from tasks.validators import registry


def row(**fields: Any) -> Any:
    given = {
        "title": "t",
        "problem": "p",
        "checks": [{"kind": "answer", "name": "answer", "value": {"exact": "1"}}],
        "strategy": "correct",
        "lane": "gpu",
        "egress": "never",
        "priority": 0,
        "tags": [],
        "seed": 0,
        "key": None,
        "memory": True,
        "model": "",
        "owner": "alice",
        "budget_usd": Decimal(1),
        "budget_hours": 1.0,
        "budget_iterations": 1,
        "budget_tokens": 1,
        "budget_completion_tokens": None,
        "budget_local_tokens": None,
        "budget_cloud_tokens": 5000,
        "budget_gpu_seconds": None,
        "budget_evaluations": None,
        "attachments": [],
        "cut": False,
        "files": {},
        "ask": False,
        "ask_hours": 24.0,
        "temperature": None,
        "start": "",
    }
    return SimpleNamespace(**{**given, **fields})


def is_submitted(option: str, value: object) -> bool:
    try:
        jobchecks.build_checks([{"answer": "1", option: value}], Path(), registry)
    except InvalidInput:
        return False
    return True


def is_read(option: str, value: object) -> bool:
    try:
        stored.spec_of(row(checks=[{"kind": "answer", "name": "a", "value": "1", option: value}]))
    except MalformedJob:
        return False
    return True


OPTIONS = {
    "memory_mb": (15, 16, 512, 65_536, 65_537, 1_000_000, -1, 64.5, "512", True, None, [16]),
    "timeout_seconds": (0, 0.5, 1, 3600, 3600.5, 1e9, -1, float("nan"), float("inf"), "10", True, None),
    "held_out": (True, False, 0, 1, "true", None),
}


@pytest.mark.parametrize(("option", "value"), [(name, value) for name, some in OPTIONS.items() for value in some])
def test_an_option_is_read_where_it_could_have_been_submitted(option: str, value: object) -> None:
    assert is_read(option, value) == is_submitted(option, value)


def test_as_many_checks_and_attachments_are_read_as_are_submitted() -> None:
    assert (stored.CHECKS, stored.ATTACHMENTS) == (jobchecks.CHECKS, attachments.MOST)
    assert stored.LANES == jobfields.LANES


def test_a_whole_job_is_read() -> None:
    spec = stored.spec_of(row(tags=["a"], key="k"))
    assert (spec.lane, spec.egress, spec.tags, spec.key) == (Lane.GPU, Egress.NEVER, ("a",), "k")


@pytest.mark.parametrize("name", ["a.py", "lib/a.py", "./a.py", "a..b", "..a"])
def test_a_file_inside_the_folder_is_read(name: str) -> None:
    assert is_read("files", {name: "x"})


@pytest.mark.parametrize("name", ["", ".", "..", "/a", "a/..", "a/../../b", "../a", "a\0b"])
def test_a_file_that_leaves_it_is_not(name: str) -> None:
    assert not is_read("files", {name: "x"})


def test_a_long_value_is_cut_in_the_reason() -> None:
    with pytest.raises(MalformedJob) as caught:
        stored.spec_of(row(checks="x" * 10_000))
    assert len(str(caught.value)) < 200


STORED_FILES = {
    "patterns": ["src/**"],
    "fixed": ["src/t.py"],
    "writable": {"src/a.py": "A = 1\n"},
    "read_only": {"lib/b.py": ""},
}


def test_the_files_of_a_job_come_back() -> None:
    files = stored.spec_of(row(files=STORED_FILES)).files
    assert (files.patterns, files.fixed) == (("src/**",), ("src/t.py",))
    assert (files.writable, files.read_only) == ({"src/a.py": "A = 1\n"}, {"lib/b.py": ""})


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("patterns", "src/**"),
        ("patterns", [1]),
        ("fixed", None),
        ("writable", {"../x": ""}),
        ("writable", {"x": {"base64": "AA=="}}),
        ("read_only", {"/x": ""}),
        ("more", 1),
    ],
)
def test_files_that_no_submission_stores_are_refused(part: str, value: object) -> None:
    with pytest.raises(MalformedJob, match=r"^files"):
        stored.spec_of(row(files={**STORED_FILES, part: value}))

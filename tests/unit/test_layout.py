from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["tasks", "workers"])
def test_the_global_names_are_those_of_this_repository(name: str) -> None:
    module = importlib.import_module(name)
    assert Path(module.__file__ or "").parent == ROOT / name


def test_every_target_that_the_makefile_names_has_a_rule() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (named,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    (remembered,) = re.findall(r"^# The only commands to remember: make (.*)\.$", makefile, re.MULTILINE)
    ruled = set(re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE))
    assert {*named.split(), *remembered.split(" | ")} <= ruled


@pytest.mark.parametrize(
    ("target", "given", "said", "unsaid"),
    [
        (
            "bench-loop",
            [],
            "bench loop humaneval single best_of_n self_consistency --pool tests/pools/humaneval-",
            "ops/hints",
        ),
        (
            "bench-loop",
            ["SET=carwash", "POOL=mine.xz"],
            "bench loop carwash single best_of_n self_consistency --pool mine.xz",
            "humaneval",
        ),
        ("bench-hints", [], "bench hints ops/hints ", "humaneval"),
        ("bench-batch", [], "ops/bench_batch.py", "--pool"),
        ("bench-batch", ["POOL=mine.xz"], "ops/bench_batch.py --pool mine.xz", "humaneval"),
    ],
)
def test_what_one_target_takes_by_default_is_not_another_s(
    target: str, given: list[str], said: str, unsaid: str
) -> None:
    shown = subprocess.run(
        ["make", "--dry-run", target, *given], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert said in shown
    assert unsaid not in shown


def test_each_decision_has_a_number_of_its_own_in_its_file_s_name_alone() -> None:
    pages = sorted((ROOT / "ops" / "decisions").glob("*.md"))
    numbers = [re.match(r"\d{4}(?=-)", page.name) for page in pages]
    assert all(numbers), [page.name for page in pages]
    assert len({match[0] for match in numbers if match}) == len(pages)
    assert [page.name for page in pages if not re.match(r"# [A-Z]", page.read_text())] == []

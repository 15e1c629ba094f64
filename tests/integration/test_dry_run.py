"""Tests that can't work are refused before a model is asked, with the line that fails."""

from __future__ import annotations

import pytest

from tasks.dryruns import try_checks
from tasks.errors import InvalidInput
from tasks.heartbeat import SilentHeartbeat
from tasks.jobfile import RawJob
from tasks.ports import DryRun, Examiner
from tasks.settings import load_settings
from tasks.submit import Rules, check
from tasks.types import CheckSpec
from tasks.validators import registry
from tasks.validators.python import PythonValidator
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder

pytestmark = pytest.mark.integration

USE = "from solution import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"


@pytest.fixture(scope="module")
def sandbox():
    return BubblewrapSandbox(default_runtime_folder(load_settings().cache))


def check_of(tests, files=None, **fields):
    return CheckSpec(name="p", kind="python", value="t_it.py", files={"t_it.py": tests, **(files or {})}, **fields)


def submitted(check, sandbox):
    """As `redraft submit` looks at a check: its source first, then the sandbox."""
    validator = PythonValidator()
    assert isinstance(validator, Examiner)
    assert isinstance(validator, DryRun)
    validator.examine(check)
    validator.dry_run(check, sandbox, SilentHeartbeat())
    return True


@pytest.mark.parametrize(
    "check",
    [
        check_of(USE),
        check_of("import helpers\n" + USE, {"helpers.py": "x = 1\n"}),
        check_of(
            USE.replace("test_add()", "test_add(three)"),
            {"conftest.py": "import pytest\n@pytest.fixture\ndef three(): return 3\n"},
        ),
        check_of("import numpy\n" + USE, runtime="numpy"),
        check_of("from solution import *\nimport pytest\n@pytest.mark.parametrize('x', CASES)\ndef test_it(x): pass\n"),
        check_of("from solution import add\nC = add(1, 2) + 4\nD = [x for x in add(2, 3)]\n" + USE),
        check_of("import solution, unittest\nclass TestIt(unittest.TestCase):\n    def test_it(self): solution.f()\n"),
        check_of("import solution\nasync def test_it(): assert await solution.f() == 1\n"),
        check_of("import solution\nclass Mine(solution.Base): pass\ndef test_it(): Mine()\n", isolation="shared"),
        check_of(USE.replace("test_add()", "test_add(tmp_path, capsys, monkeypatch, request)")),
    ],
    ids=[
        *("a function", "a helper", "a fixture", "numpy", "a star", "used while loaded", "unittest", "async"),
        *("shared", "pytest's own fixtures"),
    ],
)
def test_tests_that_can_work_are_taken(check, sandbox):
    assert submitted(check, sandbox)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (check_of("import nowhere_to_be_found\n" + USE), "nowhere_to_be_found"),
        (check_of("import scipy\n" + USE, runtime="numpy"), "line 1: import scipy; ModuleNotFoundError"),
        (
            check_of("ROWS = open('rows.csv').read()\n" + USE),
            "read(); FileNotFoundError",
        ),
        (check_of("x = 1 / 0\n" + USE), "line 1: x = 1 / 0; ZeroDivisionError"),
        (check_of(USE.replace("test_add()", "test_add(mocker)")), "'mocker'"),
        (
            check_of("from solution import Base\nclass Mine(Base): pass\ndef test_it(): pass\n"),
            "line 2 of t_it.py derives a class",
        ),
        (
            check_of("import solution\nclass M(solution.B): pass\ndef test_it(): pass\n"),
            "line 2 of t_it.py derives a class",
        ),
        (check_of("import subprocess\ndef test_it(): subprocess.run(['python', 'solution.py'])\n"), "names the file"),
        (
            check_of("import pytest\npytest.skip('no', allow_module_level=True)\ndef test_it(): pass\n"),
            "at least one test",
        ),
    ],
)
def test_tests_that_cannot_work_are_refused_with_the_reason(check, said, sandbox):
    with pytest.raises(InvalidInput) as refused:
        submitted(check, sandbox)
    assert said in str(refused.value)


def rules(sandbox):
    return Rules(validators=registry, strategies=("single",), sandbox=sandbox)


def test_a_submission_names_the_job_and_the_check(sandbox, tmp_path):
    (tmp_path / "t_good.py").write_text(USE)
    (tmp_path / "t_bad.py").write_text("x = 1 / 0\n" + USE)
    files = (["t_good.py"], ["t_good.py", "t_bad.py"])
    raw = [
        RawJob(
            where=f"jobs.jsonl line {number}",
            folder=tmp_path,
            fields={"checks": [{"python": name} for name in names], "strategy": "single"},
            problem="p",
        )
        for number, names in enumerate(files, start=1)
    ]
    steps = []
    with pytest.raises(InvalidInput) as refused:
        check(raw, rules(sandbox), lambda *step: steps.append(step))
    assert refused.value.field == "jobs.jsonl line 2: checks[1].python"
    assert [step for step in steps if step[0] == "loaded"] == [
        ("loaded", 1, 2),
        ("loaded", 2, 2),
    ]  # the same check is tried once


def test_a_large_submission_says_how_many_tests_were_not_loaded(sandbox):
    checks = [(f"p: checks[{number}]", check_of(USE + f"# {number}\n")) for number in range(3)]
    note = try_checks(checks, registry, sandbox, most=1)
    assert note == "the tests of 1 checks were loaded, those of 2 were not"

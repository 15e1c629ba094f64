"""Right solutions of every make are accepted although they run in a process of their own."""

from __future__ import annotations

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.types import CheckSpec
from tasks.validators.python import PythonValidator
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.honest.functions import FUNCTIONS
from tests.honest.manners import MANNERS
from tests.honest.objects import OBJECTS
from tests.honest.values import VALUES

pytestmark = pytest.mark.integration

HONEST = OBJECTS | FUNCTIONS | VALUES | MANNERS


@pytest.fixture(scope="module")
def sandbox():
    return BubblewrapSandbox(default_runtime_folder(load_settings().cache))


# In one process too: these tests ask for nothing that only the stand-in would give.
@pytest.mark.parametrize("isolation", ["process", pytest.param("shared", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_solution_is_accepted(sandbox, name, isolation):
    tests, solution = HONEST[name]
    check = CheckSpec(name="p", kind="python", value="t_it.py", files={"t_it.py": tests}, isolation=isolation)
    verdict = PythonValidator().validate(f"```python\n{solution}\n```", check, sandbox, SilentHeartbeat())
    assert verdict.passed, verdict.feedback


@pytest.mark.parametrize(
    "name", ["a class with state", "generators", "exceptions of its own", "callbacks", "sets and frozen sets"]
)
def test_the_same_tests_refuse_a_solution_without_its_last_line(sandbox, name):
    tests, solution = HONEST[name]
    check = CheckSpec(name="p", kind="python", value="t_it.py", files={"t_it.py": tests})
    shorter = "\n".join(solution.splitlines()[:-1]) + "\n    pass\n"
    assert not PythonValidator().validate(f"```python\n{shorter}\n```", check, sandbox, SilentHeartbeat()).passed

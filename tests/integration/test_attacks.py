"""The short form of `make attack`: some attacks of each area, none of which gets through."""

from __future__ import annotations

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.types import CheckSpec
from tasks.validators.python import PythonValidator
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.attacks.attack import Attack
from tests.attacks.grader_process import SUM
from tests.attacks.grader_protocol import speaker
from tests.attacks.suite import AREAS, attacks, tried

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
# The grader has 230 attacks of a third of a second, the sandbox and the database some that last until a limit; those on
# checks are all tried in test_warm, too. `make attack`, and so `make check-all`, leaves out none.
EVERY = {"grader": 12, "checks": 8, "sandbox": 3, "database": 4, "files": 1}


@pytest.mark.parametrize("area", AREAS)
def test_no_attack_gets_through(area, tmp_path_factory):
    outcomes = [tried(attack) for attack in attacks(tmp_path_factory.mktemp("attacks"), [area], EVERY[area])]
    assert len(outcomes) >= 10
    assert [f"{outcome.name}: {outcome.through}" for outcome in outcomes if outcome.through is not None] == []


def test_a_candidate_that_speaks_the_protocol_rightly_passes():
    """The attacks in the protocol speak as this one does: they are not stopped for a mistake of their own."""
    reply = """
if frame[0] == 'get': send(['ok', ['mine', 3, 3], [], [[3, dict(DESCRIPTION, specials=['__call__'])]], [], []])
else: send(['ok', 2 * frame[3][0], *NOTHING])
"""
    check = CheckSpec(name="p", kind="python", value="t_hidden.py", files={"t_hidden.py": SUM})
    sandbox = BubblewrapSandbox(default_runtime_folder(load_settings().cache))
    verdict = PythonValidator().validate(f"```python\n{speaker(reply)}\n```", check, sandbox, SilentHeartbeat())
    assert verdict.passed, verdict.feedback


def test_an_attack_that_gets_through_or_fails_is_seen():
    through = Attack(area="x", name="y", attempt=lambda: "it did")
    fails = Attack(area="x", name="z", attempt=lambda: 1 // 0)
    assert tried(through).through == "it did"
    assert "ZeroDivisionError" in tried(fails).through

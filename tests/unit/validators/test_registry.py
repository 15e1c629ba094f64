"""The registry, the order of checks, the score and the acceptance."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from tasks.errors import Cancelled, InvalidInput
from tasks.types import CheckSpec, Verdict
from tasks.validators import registry


def answer(name, value, *, held_out=False):
    return CheckSpec(name=name, kind="answer", value=value, held_out=held_out)


def verdict(name, *, passed, score=None, held_out=False):
    worth = float(passed) if score is None else score
    return Verdict(check=name, kind="answer", passed=passed, score=worth, held_out=held_out)


def test_both_validators_are_found_by_their_entry_points():
    assert {"answer", "python"} <= set(registry.kinds())
    assert registry.find("python").kind == "python"


def test_an_unknown_kind_is_refused_with_the_kinds_there_are():
    with pytest.raises(InvalidInput, match=r"'oracle' is not allowed; kinds of checks are .*answer.*python"):
        registry.find("oracle")


@pytest.mark.parametrize(
    ("value", "why"),
    [("no_such_module_here:V", "ModuleNotFoundError"), ("tasks.types:Verdict", "TypeError"), ("builtins:dict", "kind")],
)
def test_a_broken_plugin_gives_one_clear_error(value, why):
    entry = EntryPoint(name="oracle", value=value, group=registry.GROUP)
    with pytest.raises(registry.BrokenPlugin, match=rf"validator 'oracle' .*{why}"):
        registry.load(entry)


def test_held_out_checks_run_only_where_every_visible_one_passed(heartbeat, no_sandbox):
    checks = [answer("hidden", "42", held_out=True), answer("visible", "42")]
    good = registry.validate("ANSWER: 42", checks, no_sandbox, heartbeat)
    bad = registry.validate("ANSWER: 41", checks, no_sandbox, heartbeat)
    assert [v.check for v in good] == ["visible", "hidden"]
    assert [v.check for v in bad] == ["visible"]


def test_checks_that_are_all_held_out_run_at_once(heartbeat, no_sandbox):
    verdicts = registry.validate("ANSWER: 42", [answer("hidden", "42", held_out=True)], no_sandbox, heartbeat)
    assert [v.passed for v in verdicts] == [True]


def test_a_cheap_check_runs_before_a_dear_one(heartbeat, no_sandbox):
    dear = CheckSpec(name="tests", kind="python", value="t.py", files={"t.py": "def test_a(): pass"})
    verdicts = registry.validate("", [dear, answer("cheap", "42")], no_sandbox, heartbeat)
    assert [v.check for v in verdicts] == ["cheap", "tests"]


def test_a_cancelled_job_runs_no_further_check(heartbeat, no_sandbox):
    heartbeat.stop = Cancelled("cancelled")
    with pytest.raises(Cancelled):
        registry.validate("ANSWER: 42", [answer("a", "42")], no_sandbox, heartbeat)


def test_the_score_is_the_mean_over_all_checks_run_or_not():
    checks = [answer("a", 1), answer("b", 1), answer("h", 1, held_out=True), answer("i", 1, held_out=True)]
    verdicts = [verdict("a", passed=True), verdict("b", passed=False, score=0.5)]
    assert registry.score(verdicts, checks) == pytest.approx(1.5 / 4)


def test_a_held_out_check_counts_all_or_nothing():
    checks = [answer("h", 1, held_out=True)]
    assert registry.score([verdict("h", passed=False, score=0.9, held_out=True)], checks) == 0.0
    assert registry.score([verdict("h", passed=True, held_out=True)], checks) == 1.0


def test_only_all_checks_run_and_passed_are_an_acceptance():
    checks = [answer("a", 1), answer("h", 1, held_out=True)]
    visible, hidden = verdict("a", passed=True), verdict("h", passed=True, held_out=True)
    assert registry.accepted([visible, hidden], checks)
    assert not registry.accepted([visible], checks)
    assert not registry.accepted([visible, verdict("h", passed=False, held_out=True)], checks)
    assert not registry.accepted([hidden, visible, verdict("a", passed=False)], checks)
    assert not registry.accepted([], [])

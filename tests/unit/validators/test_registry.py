"""The registry, the order of checks, the score and the acceptance."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

import pytest

from tasks.errors import Cancelled, InvalidInput, MalformedJob, PluginUnavailable
from tasks.types import CheckSpec, SandboxResult, Verdict
from tasks.validators import registry
from tasks.validators.command import CommandValidator


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


def test_a_broken_plugin_is_told_with_the_distribution_that_brings_it():
    (entry,) = entry_points(group=registry.GROUP, name="python")
    error = registry.BrokenPlugin(entry, "it is broken")
    assert error.why == f"it is broken ({entry.value}, of {entry.dist.name})"
    loose = registry.BrokenPlugin(EntryPoint(name="a", value="b:C", group=registry.GROUP), "it is broken")
    assert loose.why == "it is broken (b:C, of an unknown distribution)"


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


class Watching:
    """A sandbox and a heartbeat that keep what they were called with."""

    def __init__(self):
        self.jobs, self.heartbeats, self.beats = [], [], 0

    def run(self, job, heartbeat):
        self.jobs.append(job)
        self.heartbeats.append(heartbeat)
        return SandboxResult(exit_code=0, stdout="", stderr="", seconds=0.0)

    def check(self):
        """Never stops."""

    def beat(self, tokens=0):
        self.beats += 1


def test_visible_and_held_out_checks_run_in_the_same_sandbox_under_the_same_heartbeat():
    watching = Watching()
    checks = [CheckSpec(name=name, kind="command", value=["sh"], held_out=name == "h") for name in ("v", "h")]
    verdicts = registry.validate("x", checks, watching, watching)
    assert [(v.check, v.held_out, v.passed) for v in verdicts] == [("v", False, True), ("h", True, True)]
    assert len(watching.jobs) == watching.beats == 2
    assert watching.heartbeats == [watching, watching]


def test_a_kind_that_no_program_decides_cannot_be_run_here(heartbeat, no_sandbox):
    judge = CheckSpec(name="j", kind="judge", value={"rubric": "nice"})
    with pytest.raises(PluginUnavailable, match="check 'judge' is broken on this worker: it has no `validate`"):
        registry.validate("x", [judge], no_sandbox, heartbeat)


def test_a_loaded_plugin_is_of_the_class_that_its_entry_point_names():
    entry = EntryPoint(name="command", value="tasks.validators.command:CommandValidator", group=registry.GROUP)
    assert type(registry.load(entry)) is CommandValidator


def test_a_plugin_of_another_name_is_refused_with_both():
    entry = EntryPoint(name="oracle", value="tasks.validators.command:CommandValidator", group=registry.GROUP)
    with pytest.raises(registry.BrokenPlugin, match=r"of an unknown distribution.*its kind is 'command'"):
        registry.load(entry)


def test_stored_checks_that_can_be_decided_are_examined_to_the_last():
    good = CheckSpec(name="c", kind="command", value=["sh"])
    registry.examine([good, answer("a", 1)])  # raises nothing
    bad = CheckSpec(name="d", kind="command", value=["-c"])
    with pytest.raises(MalformedJob, match=r"^checks\[1\]\.command: \['-c'\] is not allowed; a program first$"):
        registry.examine([good, bad])
    broken = CheckSpec(name="p", kind="python", value="gone.py", files={})
    with pytest.raises(MalformedJob, match=r"^checks\[0\]: what is stored can't be read \(KeyError: 'gone.py'\)$"):
        registry.examine([broken])
    with pytest.raises(PluginUnavailable) as missing:
        registry.examine([good, CheckSpec(name="o", kind="oracle", value=1)])
    assert (missing.value.kind, missing.value.name, missing.value.why) == ("check", "oracle", "")


def test_the_score_of_a_visible_check_is_kept_within_its_bounds():
    checks = [answer("a", 1)]
    assert registry.score([verdict("a", passed=False, score=7.0)], checks) == 1.0
    assert registry.score([verdict("a", passed=False, score=-7.0)], checks) == 0.0
    assert registry.score([], []) == 0.0


def test_what_a_candidate_does_is_said_by_a_visible_check_the_most_thorough_kind_first(heartbeat, no_sandbox):
    hidden, visible = answer("hidden", "1", held_out=True), answer("visible", {"regex": ".*"})
    program = CheckSpec(name="python", kind="python", value="t.py", files={"t.py": "def test_a(): pass"})
    judge = CheckSpec(name="judge", kind="judge", value="")

    def said(*checks):
        return registry.behaviour("ANSWER: 7", checks, (), no_sandbox, heartbeat)

    assert said(visible) == "7"
    assert said(hidden) is None
    assert said(judge) is None
    assert said(judge, hidden, visible) == "7"
    assert said(visible, program) is None, "of a program only inputs can tell, and there are none"

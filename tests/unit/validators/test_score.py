"""What the check `score` accepts at submit, and what it makes of its evaluator's runs."""

from __future__ import annotations

import json

import pytest

from tasks.errors import InvalidInput
from tasks.jobchecks import build_checks
from tasks.types import CheckSpec, SandboxResult
from tasks.validators import registry
from tasks.validators.arguments import CANDIDATE_CHARS
from tasks.validators.score import ScoreValidator


@pytest.fixture
def folder(tmp_path):
    for name in ("evaluate.py", "quick.py"):
        (tmp_path / name).write_text("print(1)\n")
    return tmp_path


def build(folder, **entry):
    (check,) = build_checks([{"score": ["./evaluate.py", "{candidate}"], **entry}], folder, registry)
    return check


def test_an_evaluator_alone_is_measured_once_and_the_greater_is_the_better(folder):
    check = build(folder)
    assert check.name == "score:evaluate.py"
    assert check.value == {
        "goal": "maximise",
        "repeats": 1,
        "noise": 0.0,
        "cores": "shared",
        "command": ["python", "evaluate.py", "{candidate}"],
        "stages": [],
    }


def test_options_stand_beside_the_kind_and_the_files_of_stages_travel_along(folder):
    check = build(
        folder,
        goal="minimise",
        target=1.5,
        plateau={"iterations": 8, "improvement": 0.01},
        repeats=3,
        noise=0.02,
        stages=[{"command": "./quick.py {candidate}", "at_most": 9}],
        held_out=True,
        timeout_seconds=60,
        runtime="numpy",
    )
    assert (check.held_out, check.timeout_seconds, check.runtime) == (True, 60, "numpy")
    assert check.value["stages"] == [{"command": ["python", "quick.py", "{candidate}"], "at_most": 9}]
    assert {name: check.value[name] for name in ("goal", "target", "repeats", "noise")} == {
        "goal": "minimise", "target": 1.5, "repeats": 3, "noise": 0.02,
    }  # fmt: skip
    assert set(check.files) == {"evaluate.py", "quick.py"}
    assert json.loads(json.dumps(check.value)) == check.value


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        ({"goal": "max"}, "checks[0].goal"),
        ({"goal": None}, "checks[0].goal"),
        ({"cores": 2}, "checks[0].cores"),
        ({"target": "1"}, "checks[0].target"),
        ({"target": float("nan")}, "checks[0].target"),
        ({"target": True}, "checks[0].target"),
        ({"noise": -0.1}, "checks[0].noise"),
        ({"noise": float("inf")}, "checks[0].noise"),
        ({"repeats": 0}, "checks[0].repeats"),
        ({"repeats": 1.5}, "checks[0].repeats"),
        ({"repeats": 101}, "checks[0].repeats"),
        ({"plateau": 8}, "checks[0].plateau"),
        ({"plateau": {"improvement": 1}}, "checks[0].plateau"),
        ({"plateau": {"iterations": 8, "gain": 1}}, "checks[0].plateau"),
        ({"plateau": {"iterations": 0}}, "checks[0].plateau"),
        ({"stages": ["./quick.py"]}, "checks[0].stages[0]"),
        ({"stages": [{"command": "./quick.py"}]}, "checks[0].stages[0]"),
        ({"stages": [{"command": "./quick.py", "at_least": 1, "at_most": 2}]}, "checks[0].stages[0]"),
        ({"stages": [{"command": "./gone.py", "at_least": 1}]}, "checks[0].stages[0].command"),
        ({"score": "./gone.py"}, "checks[0].score"),
        ({"score": "{candidate}"}, "checks[0].score"),
        ({"tarjet": 3}, "checks[0]"),
    ],
)
def test_bad_input_is_one_line_that_names_its_place(folder, entry, where):
    with pytest.raises(InvalidInput) as refused:
        build(folder, **entry)
    assert refused.value.field == where
    assert "\n" not in str(refused.value)


def test_a_mistyped_option_is_guessed(folder):
    with pytest.raises(InvalidInput, match="did you mean 'target'"):
        build(folder, tarjet=3)


def test_options_of_a_score_are_none_of_another_check(folder):
    (folder / "verify.sh").write_text("exit 0\n")
    with pytest.raises(InvalidInput, match="target"):
        build_checks([{"command": "./verify.sh", "target": 3}], folder, registry)


def test_a_stored_check_is_examined_again(folder):
    check = build(folder, stages=[{"command": "./quick.py", "at_least": 1}])
    registry.examine([check])
    for value in (7, {}, {**check.value, "command": ["-c"]}, {**check.value, "goal": "both"}):
        with pytest.raises(InvalidInput):
            ScoreValidator().examine(CheckSpec(name="score", kind="score", value=value))


def check_of(**options):
    value = {"goal": "maximise", "repeats": 1, "noise": 0.0, "cores": "shared", "stages": [], **options}
    value["command"] = ["python", "e.py"]
    return CheckSpec(name="score:e.py", kind="score", value=value, files={"e.py": "", "q.py": ""})


def outcome(stdout="", exit_code=0, stderr="", killed=None):
    return SandboxResult(exit_code=exit_code, stdout=stdout, stderr=stderr, seconds=0.5, killed=killed)


def answering(*outcomes):
    left = list(outcomes)
    return lambda job: left.pop(0)


def test_a_valid_candidate_has_the_value_the_metrics_and_what_the_evaluator_says(heartbeat, scripted):
    said = outcome('{"score": -3, "metrics": {"steps": 12}, "feedback": "the last step is slow"}')
    verdict = ScoreValidator().validate("x", check_of(), scripted(lambda job: said), heartbeat)
    assert (verdict.passed, verdict.score, verdict.value, verdict.metrics) == (True, 1.0, -3.0, {"steps": 12.0})
    assert verdict.feedback == "the last step is slow"


def test_repeats_give_the_median_of_values_and_metrics(heartbeat, scripted):
    runs = [outcome(json.dumps({"score": n, "metrics": {"ms": 10 * n}, "feedback": f"run {n}"})) for n in (9, 2, 4)]
    sandbox = scripted(answering(*runs))
    verdict = ScoreValidator().validate("x", check_of(repeats=3), sandbox, heartbeat)
    assert (verdict.value, verdict.metrics, verdict.seconds) == (4.0, {"ms": 40.0}, 1.5)
    assert verdict.feedback == "run 9"


def test_one_bad_run_of_several_makes_the_candidate_invalid_and_ends_them(heartbeat, scripted):
    sandbox = scripted(answering(outcome("1"), outcome("", killed="wall"), outcome("1")))
    verdict = ScoreValidator().validate("x", check_of(repeats=3), sandbox, heartbeat)
    assert (verdict.passed, verdict.value, len(sandbox.jobs)) == (False, None, 2)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (outcome("", killed="wall"), "did not finish: it took more than the 10 s allowed."),
        (outcome("5", killed="processes"), "too many processes"),
        (outcome("5", killed="memory"), "512 MB of memory"),
        (outcome("5", exit_code=139), "SIGSEGV"),
        (outcome("5", exit_code=1, stderr="Traceback\nValueError: no\n"), "exit code 1: ValueError: no"),
        (outcome("", exit_code=3), "exit code 3."),
        (outcome("", exit_code=127, stderr="no such file"), "could not be started: no such file"),
        (outcome(""), "gave no score: it printed nothing."),
        (outcome("NaN"), "not a finite number"),
        (outcome("fine"), "its last line is no score: fine"),
        (outcome('{"score": 9}\n{"score": 1}'), "several results"),
        (outcome('{"valid": false, "score": 9, "feedback": "two overlap"}'), "finds it invalid.\ntwo overlap"),
    ],
)
def test_a_candidate_without_a_score_is_invalid_and_the_feedback_says_why(heartbeat, scripted, run, message):
    verdict = ScoreValidator().validate("x", check_of(), scripted(lambda job: run), heartbeat)
    assert (verdict.passed, verdict.score, verdict.value) == (False, 0.0, None)
    assert message in verdict.feedback


def test_a_candidate_comes_to_the_dear_stage_only_through_the_cheap_ones(heartbeat, scripted):
    stages = [{"command": ["python", "q.py"], "at_least": 2}, {"command": ["python", "q.py"], "at_most": 7}]
    short = scripted(answering(outcome("1.5")))
    verdict = ScoreValidator().validate("x", check_of(stages=stages), short, heartbeat)
    assert (verdict.passed, verdict.score, len(short.jobs)) == (False, 0.0, 1)
    assert verdict.feedback == "Stage 1 of 3: its score is 1.5, and the next stage needs at least 2."
    over = scripted(answering(outcome("2"), outcome("7.5")))
    verdict = ScoreValidator().validate("x", check_of(stages=stages), over, heartbeat)
    assert verdict.score == pytest.approx(1 / 3)
    assert "at most 7" in verdict.feedback
    through = scripted(answering(outcome("2"), outcome("7"), outcome("40"), outcome("44")))
    verdict = ScoreValidator().validate("x", check_of(stages=stages, repeats=2), through, heartbeat)
    assert (verdict.passed, verdict.value, verdict.seconds) == (True, 42.0, 2.0)


def test_an_evaluator_may_ask_to_run_alone(heartbeat, scripted):
    sandbox = scripted(lambda job: outcome("1"))
    for cores in ("exclusive", "shared"):
        ScoreValidator().validate("x", check_of(cores=cores), sandbox, heartbeat)
    assert [job.exclusive for job in sandbox.jobs] == [True, False]


def test_an_answer_that_is_too_long_is_not_run(heartbeat, scripted):
    sandbox = scripted(lambda job: outcome("1"))
    verdict = ScoreValidator().validate("x" * (CANDIDATE_CHARS + 1), check_of(), sandbox, heartbeat)
    assert (verdict.passed, verdict.value, sandbox.jobs) == (False, None, [])


def test_what_another_check_refused_is_not_measured(heartbeat, scripted):
    command = CheckSpec(name="command", kind="command", value=["sh"])
    sandbox = scripted(answering(outcome("no", exit_code=1)))
    verdicts = registry.validate("x", [check_of(), command], sandbox, heartbeat)
    assert [verdict.kind for verdict in verdicts] == ["command"]

"""Evaluators in the real sandbox: hung, forking, lying and crashing ones."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.types import CheckSpec
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tasks.validators.score import ScoreValidator

pytestmark = pytest.mark.integration

LIMIT = 2.0
GRACE = 2.0  # within which a program that passed its limit must be gone, with its whole tree
EVALUATORS = {
    "length.py": "import sys\nprint(len(open(sys.argv[1]).read()))\n",
    "object.sh": (
        "#!/bin/sh\n"
        """echo "{\\"score\\": $(wc -c < "$1"), \\"metrics\\": {\\"lines\\": 1}, \\"feedback\\": \\"ok\\"}"\n"""
    ),
    "hung.py": (
        "import signal, time\n"
        "for s in (15, 2, 1):\n    signal.signal(s, signal.SIG_IGN)\n"
        "print(9, flush=True)\ntime.sleep(600)\n"
    ),
    "busy.py": "print(9, flush=True)\nwhile True: pass\n",
    "forking.py": (
        "import os, time\n"
        "print(9, flush=True)\n"
        "while True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.01)\n"
    ),
    "daemon.py": (
        "import os, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)\n"
        "print(3)\n"
    ),
    "timed.py": (
        "import json, time\n"
        "begun = time.monotonic()\ntime.sleep(0.3)\n"
        "print(json.dumps({'score': 1, 'metrics': {'begun': begun, 'ended': time.monotonic()}}))\n"
    ),
    "flood.sh": "#!/bin/sh\nyes\n",
    "crash.py": "print(9)\nraise SystemExit('broken instance')\n",
    "killed.sh": "#!/bin/sh\necho 9\nkill -9 $$\n",
    "nan.py": "print(float('nan'))\n",
    "twice.py": "print('{\"score\": 99}')\nprint('{\"score\": 1}')\n",
    "executing.py": "import sys\nexec(open(sys.argv[1]).read())\nprint('{\"score\": 1}')\n",
}


@pytest.fixture(scope="module")
def sandbox():
    return BubblewrapSandbox(default_runtime_folder(load_settings().cache))


@pytest.fixture
def measure(sandbox, tmp_path):
    for name, text in EVALUATORS.items():
        (tmp_path / name).write_text(text)

    def measured(name, candidate="four", **options):
        value, files = ScoreValidator().parse({"score": [f"./{name}", "{candidate}"], **options}, tmp_path)
        check = CheckSpec(name="score", kind="score", value=value, files=files, timeout_seconds=LIMIT)
        return ScoreValidator().validate(candidate, check, sandbox, SilentHeartbeat())

    return measured


def test_a_number_and_an_object_are_measured(measure):
    assert measure("length.py").value == 4.0
    verdict = measure("object.sh", repeats=3)
    assert (verdict.value, verdict.metrics, verdict.feedback) == (4.0, {"lines": 1.0}, "ok")


@pytest.mark.parametrize("name", ["hung.py", "busy.py", "forking.py"])
def test_an_evaluator_beyond_its_limit_is_ended_with_its_tree_and_gives_no_value(measure, name):
    begun = time.monotonic()
    verdict = measure(name)
    assert time.monotonic() - begun < LIMIT + GRACE
    assert (verdict.passed, verdict.value) == (False, None)
    assert "did not finish" in verdict.feedback


def test_what_an_evaluator_leaves_behind_is_ended_with_it(measure):
    begun = time.monotonic()
    assert measure("daemon.py").value in (3.0, None)
    assert time.monotonic() - begun < LIMIT + GRACE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("flood.sh", "did not finish"),
        ("crash.py", "exit code 1: broken instance"),
        ("killed.sh", "SIGKILL"),
        ("nan.py", "its last line is no score"),
        ("twice.py", "several results"),
    ],
)
def test_an_evaluator_that_breaks_or_contradicts_itself_gives_no_value(measure, name, said):
    verdict = measure(name)
    assert (verdict.passed, verdict.value) == (False, None)
    assert said in verdict.feedback


def test_a_candidate_that_prints_a_score_beside_its_evaluator_is_invalid(measure):
    verdict = measure("executing.py", "print('{\"score\": 99}')")
    assert (verdict.passed, verdict.value) == (False, None)
    assert "several results" in verdict.feedback


@pytest.mark.parametrize("cores", ["shared", "exclusive"])
def test_evaluators_run_side_by_side_unless_one_asks_to_run_alone(measure, cores):
    with ThreadPoolExecutor(max_workers=2) as pool:
        runs = [pool.submit(measure, "timed.py", cores=cores) for _ in range(2)]
    first, second = sorted((run.result().metrics for run in runs), key=lambda metrics: metrics["begun"])
    assert (second["begun"] >= first["ended"]) is (cores == "exclusive")

"""Solutions that reach for the reporter or for pytest's inner parts fail; ordinary ones that look alike pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.types import CheckSpec, Verdict
from tasks.validators.python import PythonValidator
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder

pytestmark = pytest.mark.integration

TESTS = """from solution import add
def test_a(): assert add(1, 2) == 3
def test_b(): assert add(5, 5) == 10
"""
WRONG = "def add(a, b): return 0\n"
FORGE = """
def forge(reporter):
    import os
    tests = ["t.py::test_a", "t.py::test_b"]
    reporter.send("collected", tests=[[test, False] for test in tests])
    for test in tests:
        for phase in ("setup", "call", "teardown"):
            reporter.send("phase", test=test, phase=phase, outcome="passed", expected=False)
    reporter.send("finished", status=0)
    os._exit(0)
"""
TRICKS = {
    "json's encoder replaced": (
        "import json\nencoder = json._default_encoder\nbefore = encoder.encode\n"
        "encoder.encode = lambda value: before(value).replace('failed', 'passed')\n" + WRONG
    ),
    "a class method of the runner replaced": (
        "from _pytest.runner import CallInfo\nbefore = CallInfo.from_call.__func__\n"
        "CallInfo.from_call = classmethod(lambda cls, func, when, reraise=None:\n"
        "    before(cls, func if when != 'call' else lambda: None, when, reraise))\n" + WRONG
    ),
    "the making of reports replaced": (
        "from _pytest.reports import TestReport\nbefore = TestReport.from_item_and_call.__func__\n"
        "def made(cls, item, call):\n    report = before(cls, item, call)\n    report.outcome = 'passed'\n"
        "    return report\nTestReport.from_item_and_call = classmethod(made)\n" + WRONG
    ),
    "the reporter's class changed": (
        "import sys\nmain = sys.modules['__main__']\nbefore = main.Reporter.send\n"
        "def send(self, event, **fields):\n    if event != 'tampered':\n"
        "        before(self, event, **{**fields, **({'outcome': 'passed'} if 'outcome' in fields else {})})\n"
        "main.Reporter.send = send\n" + WRONG
    ),
    "the reporter found among all objects": (
        FORGE + "import gc\n[forge(o) for o in gc.get_objects() if type(o).__name__ == 'Reporter']\n" + WRONG
    ),
    "the reporter found in the frames": (
        FORGE + "import sys\nframe = sys._getframe()\nwhile frame:\n"
        "    if 'reporter' in frame.f_locals: forge(frame.f_locals['reporter'])\n    frame = frame.f_back\n" + WRONG
    ),
    "a hook's function replaced": (
        "import gc\nfor o in gc.get_objects():\n    if type(o).__name__ == 'HookImpl'"
        " and o.function.__name__ == 'pytest_pyfunc_call':\n        o.function = lambda pyfuncitem: True\n" + WRONG
    ),
}
RIGHT = "def add(a, b): return a + b\n"
ORDINARY = {
    "named tuples and enumerations": (
        "from collections import namedtuple\nfrom enum import Enum\nfrom typing import NamedTuple\n"
        "P = namedtuple('P', 'x')\nE = Enum('E', 'A B')\nclass N(NamedTuple):\n    x: int\n" + RIGHT
    ),
    "logging and tracebacks": (
        "import logging, traceback, warnings\ndef add(a, b):\n    logging.getLogger('x').warning('y')\n"
        "    warnings.warn('w')\n    traceback.format_stack()\n    return a + b\n"
    ),
    "asyncio": "import asyncio\nasync def later(a, b): return a + b\ndef add(a, b): return asyncio.run(later(a, b))\n",
    "mock": "from unittest import mock\ndef add(a, b):\n    with mock.patch('json.loads'): return a + b\n",
    "signatures and collecting": "import gc, inspect\ninspect.signature(len)\ngc.collect()\n" + RIGHT,
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory) -> BubblewrapSandbox:
    return BubblewrapSandbox(default_runtime_folder(Path(tmp_path_factory.mktemp("cache"))))


def judged(sandbox: BubblewrapSandbox, code: str) -> Verdict:
    check = CheckSpec(name="p", kind="python", value="t.py", files={"t.py": TESTS}, held_out=False)
    return PythonValidator().validate(f"```python\n{code}```", check, sandbox, SilentHeartbeat())


@pytest.mark.parametrize("trick", TRICKS)
def test_a_solution_that_reaches_for_the_judge_does_not_pass(sandbox, trick):
    verdict = judged(sandbox, TRICKS[trick])
    assert not verdict.passed
    assert verdict.score < 1


@pytest.mark.parametrize("program", ORDINARY)
def test_a_right_solution_that_uses_pythons_library_passes(sandbox, program):
    verdict = judged(sandbox, ORDINARY[program])
    assert verdict.passed, verdict.feedback

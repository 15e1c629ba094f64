"""The validators in the real sandbox: honest candidates, mistaken ones, and such as try to be passed."""

from __future__ import annotations

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.types import CheckSpec
from tasks.validators import registry
from tasks.validators.answer import AnswerValidator
from tasks.validators.python import PythonValidator
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder

pytestmark = pytest.mark.integration

TESTS = """
import math
import pytest
from solution import add

@pytest.mark.parametrize(("a", "b", "c"), [(1, 2, 3), (2, 2, 4)])
def test_add(a, b, c):
    assert add(a, b) == c

def test_opposites():
    assert math.isclose(add(-1.5, 1.5), 0)

def test_types():
    with pytest.raises(TypeError):
        add(1, "a")
"""


@pytest.fixture(scope="module")
def sandbox():
    return BubblewrapSandbox(default_runtime_folder(load_settings().cache))


@pytest.fixture
def judge(sandbox):
    def judged(candidate, tests=TESTS, **fields):
        check = CheckSpec(name="python:t.py", kind="python", value="t.py", files={"t.py": tests}, **fields)
        return PythonValidator().validate(candidate, check, sandbox, SilentHeartbeat())

    return judged


def test_a_right_candidate_passes(judge):
    verdict = judge("Here it is:\n```python\ndef add(a, b):\n    return a + b\n```\n")
    assert (verdict.passed, verdict.score, verdict.feedback) == (True, 1.0, "")
    assert verdict.seconds > 0


def test_a_wrong_candidate_is_told_what_was_expected_and_scored_by_its_share(judge):
    verdict = judge("def add(a, b):\n    return a * b if a == b else a - b\n")
    assert (verdict.passed, verdict.score) == (False, 0.5)
    assert "2 of 4 tests passed" in verdict.feedback
    assert "assert -1 == 3" in verdict.feedback
    assert "test_add[1-2-3]" in verdict.feedback


def test_an_exception_is_told_with_the_line_of_the_solution(judge):
    verdict = judge("def add(a, b):\n    total = a + b\n    return total / 0\n")
    assert "ZeroDivisionError" in verdict.feedback
    assert "solution.py line 3: return total / 0" in verdict.feedback


def test_a_syntax_error_points_to_its_line(judge):
    verdict = judge("def add(a, b):\n    return a +\n")
    assert verdict.score == 0.0
    assert "solution.py line 2: return a +" in verdict.feedback


def test_a_missing_name_or_module_is_told(judge):
    assert "cannot import name 'add'" in judge("def sub(a, b): return a - b").feedback
    missing = judge("import numpy\n").feedback
    assert "No module named 'numpy'" in missing
    assert "solution.py line 1: import numpy" in missing


def test_what_a_failing_test_printed_is_told(judge):
    assert "printed: looking" in judge("def add(a, b):\n    print('looking')\n    return 0\n").feedback


def test_a_timeout_says_so_and_names_the_test(judge):
    verdict = judge("def add(a, b):\n    while True: pass\n", timeout_seconds=2)
    assert not verdict.passed
    assert "test_add[1-2-3]" in verdict.feedback
    assert "more than the 2 s allowed" in verdict.feedback


def test_memory_over_the_limit_says_so(judge):
    verdict = judge("def add(a, b):\n    x = []\n    while True: x.append(b'x' * 2**20)\n", memory_mb=128)
    assert "128 MB of memory" in verdict.feedback


ATTACKS = {
    "exit at import": "import os\nos._exit(0)",
    "exit in a test": "import os\ndef add(a, b):\n    print('4 passed in 0.01s', flush=True)\n    os._exit(0)",
    "sys.exit at import": "import sys\nsys.exit(0)",
    "sys.exit in a test": "import sys\ndef add(a, b): sys.exit(0)",
    "SystemExit": "raise SystemExit(0)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "a printed summary": "print('====== 4 passed in 0.01s ======')\nadd = None",
    "pytest.main replaced": "import pytest\npytest.main = lambda *a, **k: 0\ndef add(a, b): return 3",
    "pytest.exit": "import pytest\ndef add(a, b): pytest.exit('done', 0)",
    "skip at import": "import pytest\npytest.skip('no', allow_module_level=True)",
    "skip in a test": "import pytest\ndef add(a, b): pytest.skip('no')",
    "xfail in a test": "import pytest\ndef add(a, b): pytest.xfail('no')",
    "the runner replaced": (
        "import _pytest.python as p\np.Function.runtest = lambda self: None\ndef add(a, b): return 1"
    ),
    "raises replaced": (
        "import pytest, contextlib\npytest.raises = contextlib.suppress\ndef add(a, b): return a + float(b)"
    ),
    "code of the runner replaced": (
        "import _pytest.runner as r\nr.call_and_report.__code__ = (lambda item, when, log=True, **k: None).__code__\n"
        "def add(a, b): return 1"
    ),
    "a module of the tests replaced": (
        "import math\nmath.isclose = lambda *a: True\ndef add(a, b): return a + b if isinstance(a, int) else 7"
    ),
    "a module of the tests swapped": (
        "import sys, types\nfake = types.ModuleType('math')\nfake.isclose = lambda *a: True\n"
        "sys.modules['math'] = fake\n"
        "def add(a, b): return a + b if isinstance(a, int) else 7"
    ),
    "AssertionError replaced": "import builtins\nbuiltins.AssertionError = Warning\ndef add(a, b): return 1",
    "the tests replaced while they run": (
        "import sys\ndef add(a, b):\n"
        "    for m in list(sys.modules.values()):\n        if hasattr(m, 'test_types'):\n"
        "            m.test_opposites.__code__ = m.test_types.__code__ = (lambda: None).__code__\n"
        "    return a + b if type(a) is int else 7"
    ),
    "the test file removed": "import os\nos.remove('t.py')\ndef add(a, b): return 1",
    "the test file overwritten": "open('t.py', 'w').write('def test(): pass')\ndef add(a, b): return 1",
    "a conftest written": (
        "open('conftest.py', 'w').write('def pytest_pyfunc_call(pyfuncitem): return True')\ndef add(a, b): return 1"
    ),
    "a forged report": (
        "import os\nfor fd in range(3, 64):\n"
        '    try: os.write(fd, b\'["", "finished", {"status": 0}]\\n\')\n    except OSError: pass\n'
        "def add(a, b): return 1"
    ),
    "a flood of reports": (
        "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'[' + b'1,' * 1_500_000 + b']\\n')\n"
        "    except OSError: pass\ndef add(a, b): return 1"
    ),
    "the report closed": "import os\nos.closerange(3, 256)\ndef add(a, b): return a + b",
    "exit when it ends": "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b): return 1",
    "a thread that exits": (
        "import threading, os, time\nthreading.Thread(target=lambda: (time.sleep(0.05), os._exit(0))).start()\n"
        "def add(a, b):\n    time.sleep(0.2)\n    return a + b"
    ),
    "the parent gone, a child goes on": (
        "import os, time\nif os.fork(): os._exit(0)\ntime.sleep(0.5)\ndef add(a, b): return a + b"
    ),
    "recursion": "def add(a, b): return add(a, b)",
    "recursion in the syntax": "x = " + "(" * 5000 + ")" * 5000,
    "a crash": "import ctypes\ndef add(a, b): ctypes.string_at(0)",
    "huge output": "def add(a, b):\n    print('x' * 50_000_000)\n    return a + b",
    "no code": "I could not solve it.",
    "a null byte": "def add(a, b): return a + b\0",
    "a lone surrogate": "x = '\ud800'\ndef add(a, b): return 1",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_trick_is_a_pass(judge, attack):
    verdict = judge(ATTACKS[attack], timeout_seconds=8)
    assert not verdict.passed
    assert verdict.score < 1.0
    assert 10 < len(verdict.feedback) <= 1500


def test_what_a_solution_prints_at_import_does_not_disturb(judge):
    assert judge("print('x' * 10_000)\ndef add(a, b): return a + b").passed


def test_a_file_may_use_marks_classes_and_fixtures(judge):
    tests = """
import unittest, sys, pytest
import solution

@pytest.fixture
def test_number(): return 2

@pytest.mark.skipif(sys.version_info > (3,), reason="for Python 2")
def test_old(): assert False

@pytest.mark.xfail(strict=True)
def test_known(): assert solution.add(1, 1) == 3

class TestMore:
    def test_two(self, test_number): assert solution.add(1, 1) == test_number

class Case(unittest.TestCase):
    def test_three(self): self.assertEqual(solution.add(1, 2), 3)
    @unittest.skip("later")
    def test_later(self): self.fail()

def test_patched(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("builtins.input", lambda: "1")
    assert solution.add(int(input()), 1) == 2
"""
    verdict = judge("def add(a, b): return a + b", tests)
    assert verdict.passed, verdict.feedback
    assert not judge("def add(a, b): return a * b", tests).passed


def test_a_file_of_many_tests_is_counted_whole(judge):
    tests = (
        "import pytest\nfrom solution import add\n"
        "@pytest.mark.parametrize('n', range(400))\ndef test_n(n): assert add(n, 1) == n + 1\n"
    )
    assert judge("def add(a, b): return a + b", tests).passed
    assert judge("def add(a, b): return a + b if a else 7", tests).score == 399 / 400


def test_common_uses_of_the_interpreter_are_no_tampering(judge):
    candidate = (
        "import collections, dataclasses, enum, functools, gc, logging, typing, warnings\n"
        "P = collections.namedtuple('P', 'x y')\n"
        "class N(typing.NamedTuple):\n    x: int\n"
        "@dataclasses.dataclass(frozen=True, slots=True)\nclass D:\n    x: int = 1\n"
        "class E(enum.Enum):\n    A = enum.auto()\n"
        "@functools.cache\ndef add(a, b):\n"
        "    gc.collect()\n    logging.getLogger('x').warning('adding')\n    warnings.warn('adding')\n"
        "    return P(a, b).x + P(a, b).y\n"
    )
    verdict = judge(candidate)
    assert verdict.passed, verdict.feedback


def test_a_file_whose_tests_are_all_skipped_is_no_pass(judge):
    tests = "import pytest, solution\n@pytest.mark.skip\ndef test_a(): pass\n"
    assert not judge("x = 1", tests).passed


def test_the_same_candidate_gets_the_same_verdict(judge):
    candidate = "def add(a, b): return list({'a', 'b', 'c', 'd'}).index('a')"
    assert len({judge(candidate).feedback for _ in range(3)}) == 1


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        ("x^2+2x+1", "(x+1)**2"),
        (r"\frac{\sqrt{2}}{2}", r"$\frac{1}{\sqrt{2}}$"),
        ("1/2", "0.5"),
        ("2*pi", r"2\pi"),
        ("1024", "2^(10)"),
        (r"\{1,2\}", r"\{2, 1\}"),
        ("sin(x)^2", r"1-\cos(x)^2"),
        ("7", r"\boxed{7}"),
    ],
)
def test_equal_mathematics_passes(sandbox, expected, given):
    assert _math(sandbox, expected, given).passed


@pytest.mark.parametrize(
    ("expected", "given"),
    [("4", "3 or 4"), ("3", "3, 4"), ("x+1", "x-1"), ("7", "hello"), ("7", "__import__('os').getpid()"), ("7", "$$")],
)
def test_other_mathematics_does_not(sandbox, expected, given):
    verdict = _math(sandbox, expected, given)
    assert not verdict.passed
    assert verdict.feedback


@pytest.mark.parametrize(
    ("given", "said", "seconds"),
    [
        ("9**9**9**9", "is not right.", 20),
        ("$9^{9^{9^{9}}}$", "could not be compared within the limits", 3),
        ("100000000!", "could not be compared within the limits", 3),
        ("(" * 900 + "1" + ")" * 900, "could not be compared within the limits", 3),
    ],
)
def test_hostile_mathematics_ends_by_the_limits(sandbox, given, said, seconds):
    verdict = _math(sandbox, "7", given, timeout_seconds=seconds)
    assert not verdict.passed
    assert said in verdict.feedback


def test_a_job_with_a_visible_and_a_hidden_test_is_accepted_by_both(sandbox):
    visible = "from solution import add\ndef test_one(): assert add(1, 2) == 3\n"
    hidden = "from solution import add\ndef test_two(): assert add(5, 5) == 10\n"
    checks = [
        CheckSpec(name="v", kind="python", value="v.py", files={"v.py": visible}),
        CheckSpec(name="h", kind="python", value="h.py", files={"h.py": hidden}, held_out=True),
    ]
    for body, accepted, score in (("a + b", True, 1.0), ("3", False, 0.5), ("4", False, 0.0)):
        verdicts = registry.validate(f"def add(a, b): return {body}", checks, sandbox, SilentHeartbeat())
        assert registry.accepted(verdicts, checks) is accepted
        assert registry.score(verdicts, checks) == score


def _math(sandbox, expected, given, **fields):
    check = CheckSpec(name="a", kind="answer", value={"math": expected}, **fields)
    return AnswerValidator().validate(f"ANSWER: {given}", check, sandbox, SilentHeartbeat())

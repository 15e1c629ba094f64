"""What a program does on given inputs, in the real sandbox."""

from __future__ import annotations

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.types import CheckSpec
from tasks.validators.extraction import Code
from tasks.validators.probing import behaviour_of
from tasks.validators.python import PythonValidator

pytestmark = pytest.mark.integration
CHECK = CheckSpec(
    name="python:t.py", kind="python", value="t.py", files={"t.py": "def test_a(): pass"}, timeout_seconds=2
)


def behaviours(sandbox, inputs, *sources):
    return [behaviour_of(Code(source=source), inputs, CHECK, sandbox, SilentHeartbeat()) for source in sources]


def test_programs_that_return_the_same_are_the_same_whatever_they_look_like(real_sandbox):
    inputs = ("f([3, 1, 2])", "f([])", "f([1, 1])")
    one, other, wrong = behaviours(
        real_sandbox,
        inputs,
        "def f(x):\n    return sorted(x)",
        "import heapq\ndef f(x):\n    heapq.heapify(x)\n    return [heapq.heappop(x) for _ in range(len(x))]",
        "def f(x):\n    return sorted(set(x))",
    )
    assert one == other != wrong


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("return 2", "return 2.0", True),
        ("return 0.1 + 0.2", "return 0.3", True),
        ("return {1: 'a', 2: 'b'}", "return {2: 'b', 1: 'a'}", True),
        ("return (1, 2)", "return [1, 2]", False),
        ("return '2'", "return 2", False),
        ("raise ValueError('one')", "raise ValueError('other')", True),
        ("raise ValueError()", "raise KeyError()", False),
        ("x.append(1)", "x += [1]", True),
        ("x.append(1)", "x.append(2)", False),
        ("print(1)", "print(2)", False),
        ("return 1 / 0", "return None", False),
        ("yield 1\n    yield 2", "return iter([1, 2])", False),
    ],
)
def test_values_count_as_a_test_would_compare_them(real_sandbox, one, other, same):
    first, second = behaviours(real_sandbox, ("f([0])",), *(f"def f(x):\n    {body}" for body in (one, other)))
    assert (first == second) is same


def test_a_call_that_hangs_or_crashes_is_a_behaviour_and_those_after_it_are_run(real_sandbox):
    hang = "import os\ndef f(x):\n    while x == 1:\n        pass\n    return x"
    crash = hang.replace("while x == 1:\n        pass", "os._exit(3) if x == 1 else None")
    right = "def f(x):\n    return x"
    first, hanging, crashing, again = behaviours(real_sandbox, ("f(0)", "f(1)", "f(2)"), right, hang, crash, hang)
    assert len({first, hanging, crashing}) == 3
    assert hanging == again
    other = behaviours(real_sandbox, ("f(0)", "f(1)", "f(2)"), hang.replace("return x", "return x + (x == 2)"))
    assert other != [hanging]


def test_what_a_program_prints_or_writes_elsewhere_is_no_report_and_long_values_count_whole(real_sandbox):
    plain = "def f(x):\n    return 'a' * 10**6 + str(x)"
    write = "os.write(n, b'\"forged\"')"
    forger = f"import os\nfor n in range(3, 12):\n    try:\n        {write}\n    except OSError:\n        pass\n"
    inputs = ("f(1)", "f(2)")
    whole, again, other, forged = behaviours(
        real_sandbox, inputs, plain, "# the same\n" + plain, plain.replace("str(x)", "'b'"), forger + plain
    )
    assert whole == again == forged != other


def test_the_kind_of_check_finds_the_code_in_the_answer(real_sandbox):
    answer = "It is:\n```python\ndef f(x):\n    return x\n```\n"
    validator = PythonValidator()
    found = validator.behaviour(answer, CHECK, ("f(1)",), real_sandbox, SilentHeartbeat())
    assert [found] == behaviours(real_sandbox, ("f(1)",), "def f(x):\n    return x")
    assert validator.behaviour(answer, CHECK, (), real_sandbox, SilentHeartbeat()) is None

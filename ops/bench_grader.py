"""What a process of its own for the candidate costs: `make bench-checks`.

The same tests and solutions with `isolation: process` and `isolation: shared`, in turn: milliseconds for a candidate, a
median over `--rounds`, and the difference with its 95 % interval over the pairs. Then microseconds for a call from a
test into the solution, by many calls in one test, less the same test with none.
"""

from __future__ import annotations

import argparse
import statistics

from figures import table

from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.types import CheckSpec
from tasks.validators.python import PythonValidator
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder

CALLS = 20_000
SOLUTION = """
class Stack:
    def __init__(self): self.items = []
    def push(self, item): self.items.append(item)
    def __len__(self): return len(self.items)
def add(a, b): return a + b
def total(numbers): return sum(numbers)
"""
TESTS = {
    "one test of a function": "from solution import add\ndef test_add(): assert add(1, 2) == 3\n",
    "forty tests": (
        "import pytest\nfrom solution import add\n@pytest.mark.parametrize('n', range(40))\n"
        "def test_add(n): assert add(n, 1) == n + 1\n"
    ),
    "a class, 200 calls": (
        "from solution import Stack\ndef test_it():\n    s = Stack()\n    for n in range(100):\n        s.push(n)\n"
        "        assert len(s) == n + 1\n"
    ),
    "a list of 10,000": "from solution import total\ndef test_it(): assert total(list(range(10_000))) == 49_995_000\n",
}
MANY = "from solution import add\ndef test_add():\n    for n in range({calls}): assert add(n, 1) == n + 1\n"


def main() -> None:
    """Two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    sandbox = BubblewrapSandbox(default_runtime_folder(load_settings().cache))
    rows = []
    for name, tests in TESTS.items():
        apart, shared = _pairs(sandbox, tests, rounds)
        rows.append([name, *_row(apart, shared, 1e3, "{:.0f}")])
    print(table(("ms a candidate", "process", "shared", "difference (95 %)"), rows))
    many = _pairs(sandbox, MANY.format(calls=CALLS), 5)
    none = _pairs(sandbox, MANY.format(calls=0), 5)
    costs = [[a - b for a, b in zip(many[side], none[side], strict=True)] for side in (0, 1)]
    print(
        table(
            ("µs a call", "process", "shared", "difference (95 %)"),
            [["add(n, 1)", *_row(*costs, 1e6 / CALLS, "{:.1f}")]],
        )
    )


def _pairs(sandbox: BubblewrapSandbox, tests: str, rounds: int) -> tuple[list[float], list[float]]:
    seconds: dict[str, list[float]] = {"process": [], "shared": []}
    for number in range(rounds + 1):
        for isolation, of_side in seconds.items():
            check = CheckSpec(
                name="p",
                kind="python",
                value="t_it.py",
                files={"t_it.py": tests},
                isolation=isolation,
                timeout_seconds=60,
            )
            verdict = PythonValidator().validate(f"```python\n{SOLUTION}\n```", check, sandbox, SilentHeartbeat())
            if not verdict.passed:
                raise SystemExit(f"the bench's own solution was refused: {verdict.feedback}")
            if number:  # the first of each side warms the page cache
                of_side.append(verdict.seconds)
    return seconds["process"], seconds["shared"]


def _row(apart: list[float], shared: list[float], scale: float, shown: str) -> list[str]:
    differences = [(one - other) * scale for one, other in zip(apart, shared, strict=True)]
    half = 2.2 * statistics.stdev(differences) / len(differences) ** 0.5
    middle = statistics.fmean(differences)
    medians = [shown.format(statistics.median(side) * scale) for side in (apart, shared)]
    return [*medians, f"{shown.format(middle)} ({shown.format(middle - half)} to {shown.format(middle + half)})"]


if __name__ == "__main__":
    main()

"""What an `answer: math` and a `schema` check cost, with a sandbox started for each, and with programs kept waiting.

`make bench-checks` prints median and 95th percentile in milliseconds; the checks are those of a long queue: the same
few kinds again and again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence

from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Sandbox
from tasks.settings import load_settings
from tasks.types import CheckSpec
from tasks.validators.answer import AnswerValidator
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tasks.validators.schema import SchemaValidator
from tasks.validators.warm import WarmSandbox

MATH = (
    ("42", "42"),
    ("x^2+2x+1", "(x+1)**2"),
    ("\\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt{2}}"),
    ("\\sin(2x)", "2\\sin x\\cos x"),
    ("\\{1,2,3\\}", "\\{3,2,1\\}"),
    ("2\\pi", "6.28318"),
    ("\\frac{1}{50!}", "\\frac{1}{51!}"),
)
SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "mail": {"format": "email"}, "born": {"format": "date"}},
}
PEOPLE = ({"name": "Ada", "mail": "ada@example.com", "born": "1815-12-10"}, {"name": 3}, {"mail": "none"})


def run_math(sandbox: Sandbox, number: int) -> None:
    """One check of mathematics."""
    expected, given = MATH[number % len(MATH)]
    check = CheckSpec(name="a", kind="answer", value={"math": expected})
    AnswerValidator().validate(f"ANSWER: {given}", check, sandbox, SilentHeartbeat())


def run_schema(sandbox: Sandbox, number: int) -> None:
    """One check of a schema."""
    check = CheckSpec(name="s", kind="schema", value="s.json", files={"s.json": json.dumps(SCHEMA)})
    SchemaValidator().validate(json.dumps(PEOPLE[number % len(PEOPLE)]), check, sandbox, SilentHeartbeat())


def milliseconds(run: Callable[[Sandbox, int], None], sandbox: Sandbox, times: int) -> Sequence[float]:
    """What each of `times` checks took, after one that builds what is missing."""
    run(sandbox, 0)
    taken = []
    for number in range(times):
        began = time.perf_counter()
        run(sandbox, number)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=60, help="checks of each kind")
    times = parser.parse_args().times
    folder = default_runtime_folder(load_settings().cache)
    warm = WarmSandbox(folder)
    print(f"{'check':8} {'sandbox':8} {'median ms':>10} {'p95 ms':>8}   of {times}")
    kinds = {"math": run_math, "schema": run_schema}
    sandboxes: dict[str, BubblewrapSandbox] = {"cold": BubblewrapSandbox(folder), "warm": warm}
    for (name, run), (kind, sandbox) in itertools.product(kinds.items(), sandboxes.items()):
        taken = milliseconds(run, sandbox, times)
        print(f"{name:8} {kind:8} {statistics.median(taken):10.1f} {statistics.quantiles(taken, n=20)[-1]:8.1f}")
    warm.close()


if __name__ == "__main__":
    main()

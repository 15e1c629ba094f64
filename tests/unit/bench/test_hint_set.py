"""The tasks of ops/hints: what follows the right hint passes all checks, and what follows the wrong one does not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from workers.bench.folder import folder
from workers.bench.hints import HintArm, read_hints

SET = Path(__file__).parents[3] / "ops" / "hints"
ROMAN = ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
         (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))  # fmt: skip
# By task: what the right hint says as a program, and what the wrong one does.
PROGRAMS = {
    "capitals": (
        'def headline(text): return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))',
        "def headline(text): return text.title()",
    ),
    "initials": (
        'def initials(name): return "".join(word[0].upper() + "." for word in name.split())',
        'def initials(name): return name[0].upper() + "."',
    ),
    "clock": (
        'def clock(minutes): return f"{minutes // 60:02d}:{minutes % 60:02d}"',
        'from datetime import datetime\ndef clock(minutes): return f"{datetime.now():%H:%M}"',
    ),
    "runs": (
        "from itertools import groupby\n"
        'def runs(text): return "".join(letter + str(len(list(group))) for letter, group in groupby(text))',
        'def runs(text): return "".join(c + str(text.count(c)) for c in sorted(set(text)))',
    ),
    "caesar": (
        'def shift(text, n): return "".join(\n'
        '    chr((ord(s) - ord("a") + n) % 26 + ord("a")) if "a" <= s <= "z" else s for s in text)',
        'def shift(text, n): return "".join(chr(ord(sign) + n) for sign in text)',
    ),
    "roman": (
        f"ROMAN = {ROMAN}\n"
        "def roman(n):\n"
        '    said = ""\n'
        "    for value, letters in ROMAN:\n"
        "        while n >= value:\n"
        "            said, n = said + letters, n - value\n"
        "    return said",
        'def roman(n): return "I" * n',
    ),
    "second": (
        "def second(numbers):\n    values = sorted(set(numbers))\n    return None if len(values) < 2 else values[-2]",
        "def second(numbers): return sorted(numbers)[-2]",
    ),
    "middle": (
        "def middle(word):\n    n = len(word)\n    return word[n // 2] if n % 2 else word[n // 2 - 1 : n // 2 + 1]",
        "def middle(word): return word[1]",
    ),
    "rotate": (
        "def rotate(items, n):\n"
        "    if not items: return []\n"
        "    n = n % len(items)\n"
        "    return items[len(items) - n :] + items[: len(items) - n]",
        "def rotate(items, n): return items[::-1]",
    ),
    "digits": (
        "def root(n):\n    while n >= 10: n = sum(int(digit) for digit in str(n))\n    return n",
        "def root(n): return n % 10",
    ),
    "vowels": (
        'def squeeze(text): return text[:1] + "".join(c for c in text[1:] if c not in "aeiouAEIOU")',
        'def squeeze(text): return text.replace("a", " ").replace("e", " ")',
    ),
    "collatz": (
        "def steps(n):\n"
        "    count = 0\n"
        "    while n != 1: n, count = n // 2 if n % 2 == 0 else 3 * n + 1, count + 1\n"
        "    return count",
        "def steps(n): return n // 2",
    ),
    "pairs": (
        "def pairs(numbers, total):\n"
        "    count = 0\n"
        "    for i in range(len(numbers)):\n"
        "        for j in range(i + 1, len(numbers)): count += numbers[i] + numbers[j] == total\n"
        "    return count",
        "def pairs(numbers, total): return len([n for n in numbers if n < total])",
    ),
    "columns": (
        "def columns(rows): return [list(column) for column in zip(*rows)]",
        "def columns(rows): return rows[::-1]",
    ),
    "longest": (
        "def longest(text):\n"
        '    words = [word.strip(".,") for word in text.split()]\n'
        '    return max(words, key=len, default="")',
        "def longest(text): return text.split()[-1]",
    ),
    "leap": (
        "def leap_years(first, last):\n"
        "    return [y for y in range(first, last + 1) if y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)]",
        "def leap_years(first, last): return list(range(first, last, 2))",
    ),
}


def passes(task: str, program: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a program passes both test files of the task."""
    solution = ModuleType("solution")
    exec(program, solution.__dict__)
    monkeypatch.setitem(sys.modules, "solution", solution)
    try:
        for kind in ("visible", "hidden"):
            tests: dict[str, object] = {}
            exec((SET / f"{task}_{kind}.py").read_text(), tests)
            for name in [name for name in tests if name.startswith("test_")]:
                tests[name]()  # type: ignore[operator]
    except (AssertionError, LookupError):
        return False
    return True


@pytest.mark.parametrize("task", PROGRAMS)
def test_the_right_hint_leads_to_the_answer_and_the_wrong_one_astray(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = PROGRAMS[task]
    assert passes(task, right, monkeypatch)
    assert not passes(task, wrong, monkeypatch)


def test_each_task_has_a_right_a_useless_and_a_wrong_hint_of_its_own() -> None:
    tasks = folder(SET)
    hints = read_hints(SET / "hints.jsonl", tasks)
    assert {task.name for task in tasks.tasks} == set(hints) == set(PROGRAMS)
    given = [hints[task][arm] for task in hints for arm in (HintArm.RIGHT, HintArm.USELESS, HintArm.WRONG)]
    assert len(set(given)) == len(given)
    assert all(given)

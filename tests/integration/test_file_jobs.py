"""Jobs of several files and of other languages, from the job file to `result -o`: real Postgres, real sandbox, a
scripted model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.client import Client
from tasks.errors import InvalidInput
from tasks.heartbeat import SilentHeartbeat
from tasks.jobflags import Flags
from tasks.llm.scripted import ScriptedModel
from tasks.sampling import Sampling
from tasks.settings import load_settings
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.submit import Rules, read_jobs
from tasks.types import ChatRequest, JobState
from tasks.validators import registry
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tasks.validators.toolchains import TOOLCHAINS
from tests.loops import ENGINE_AND_CHECKS, take, twin_loop
from workers.cli import folder as cli_folder
from workers.strategies import load_strategies

pytestmark = pytest.mark.integration


class Played:
    """A job played to its end: what the model was shown, and how it came out."""

    def __init__(self, alice: Client, fleet: Database, folder: Path) -> None:
        self.alice, self.fleet, self.folder = alice, fleet, folder
        self.prompts: list[str] = []

    def play(self, files: Mapping[str, str], *answers: str) -> int:
        """Submits `job.md` of `files` and gives the answers in turn; the job's number."""
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        rules = Rules(validators=registry, strategies=tuple(load_strategies().working))
        [spec] = read_jobs([str(self.folder / "job.md")], Flags(), rules, bytes).specs
        job = self.alice.submit(spec)[0].job
        given = iter(answers)

        def answer(request: ChatRequest) -> str:
            self.prompts.append("\n".join(message.content for message in request.messages))
            return "NO PROBLEMS" if "List what is wrong" in self.prompts[-1] else next(given)

        loop = twin_loop(
            PostgresLedger(self.fleet, fault_cap=3),
            ScriptedModel(answer),
            sampling=Sampling(answer_tokens=1000),
            strategies=load_strategies().working,
            sandbox=BubblewrapSandbox(default_runtime_folder(load_settings().cache)),
        )
        while (claim := take(self.fleet)) is not None:
            loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
        return job

    def feedback(self, job: int) -> list[str]:
        """What the failed verdicts say, the first first."""
        return [v.feedback for row in self.alice.history(job) for v in row.verdicts if not v.passed]

    def write(self, job: int, target: Path) -> list[str]:
        """As `redraft result -o`."""
        whole = self.alice.load(job)
        assert whole.incumbent is not None
        return list(cli_folder.write(whole, whole.incumbent, target))


@pytest.fixture
def played(alice: Client, fleet: Database, tmp_path: Path) -> Played:
    folder = tmp_path / "job"
    folder.mkdir()
    return Played(alice, fleet, folder)


CHECKED = """---
files: ["shop/**"]
read_only: [prices.csv]
checks:
  - command: [check.py]
budget: {iterations: 4}
---
Make `shop/bill.py` add prices up, with the prices read by `shop/prices.py` out of prices.csv.
"""
TWO_FILES = {
    "job.md": CHECKED,
    "prices.csv": "tea,3\nmilk,2\n",
    "shop/__init__.py": "",
    "shop/bill.py": "def total(names):\n    return 0\n",
}
CHECK = """import sys
from shop.bill import total
got = total(["tea", "milk", "tea"])
print(f"a bill of two teas and a milk is {got}, not 8" if got != 8 else "")
sys.exit(got != 8)
"""
PRICES = """`shop/prices.py`
```python
def prices():
    with open("prices.csv") as file:
        return {name: int(price) for name, price in (line.split(",") for line in file)}
```
"""
BILL = """```diff
--- a/shop/bill.py
+++ b/shop/bill.py
@@ -10,7 +99,1 @@
+from shop.prices import prices
+
+
 def total(names):
-    return 0
+    return sum({} for name in names)
```
"""


def test_two_files_are_corrected_to_acceptance_and_written(played: Played, tmp_path: Path) -> None:
    first = PRICES + BILL.format("prices()[name] + 1")
    missing = "shop/bill.py\n<<<<<<< SEARCH\n    return 1\n=======\n    return 2\n>>>>>>> REPLACE\n"
    second = (
        "shop/bill.py\n<<<<<<< SEARCH\n    return sum(prices()[name] + 1 for name in names)\n=======\n"
        "    return sum(prices()[name] for name in names)\n>>>>>>> REPLACE\n"
    )
    job = played.play({**TWO_FILES, "check.py": CHECK}, first, missing, second)
    assert played.feedback(job) == [
        "a bill of two teas and a milk is 11, not 8",
        "shop/bill.py: An edit fits nowhere: the file does not have `return 1`.",
    ]
    assert played.alice.summary(job).state is JobState.ACCEPTED
    assert any("return sum(prices()[name] + 1 for name in names)" in prompt for prompt in played.prompts[1:])
    target = tmp_path / "out"
    assert played.write(job, target) == ["shop/bill.py", "shop/prices.py"]
    assert sorted(str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()) == [
        "prices.csv",
        "shop/__init__.py",
        "shop/bill.py",
        "shop/prices.py",
    ]
    assert "return sum(prices()[name] for name in names)" in (target / "shop/bill.py").read_text()


def test_a_program_that_may_be_written_is_protected(played: Played) -> None:
    cheat = "`check.py`\n```python\n```"
    files = {**TWO_FILES, "job.md": CHECKED.replace('"shop/**"', '"**/*.py"'), "check.py": CHECK}
    job = played.play(files, *[cheat] * 4)
    assert played.alice.summary(job).state is JobState.UNSOLVED
    assert played.feedback(job)[0].startswith("'check.py' may not be changed; what may be is shop/__init__.py")


def test_a_link_in_the_target_is_refused(played: Played, tmp_path: Path) -> None:
    job = played.play({**TWO_FILES, "check.py": CHECK}, PRICES + BILL.format("prices()[name]"))
    target = tmp_path / "out"
    target.mkdir()
    (target / "shop").symlink_to(tmp_path)
    with pytest.raises(InvalidInput, match="links"):
        played.write(job, target)
    assert not (tmp_path / "bill.py").exists()


CPP = {
    "job.md": """---
files: [src/*.cpp]
read_only: [include/**]
checks:
  - command: [sh, -c, "g++ -O1 -Iinclude -o /tmp/sum src/*.cpp 2>&1 && [ \\"$(echo 3 1 2 3 | /tmp/sum)\\" = 6 ]"]
    timeout_seconds: 60
    runtime: cpp
budget: {iterations: 3}
---
Write `src/sum.cpp`, so that `read.hpp` reads the numbers and the program prints their sum.
""",
    "include/read.hpp": """#pragma once
#include <iostream>
#include <vector>
inline std::vector<long> read() {
    long n; std::cin >> n;
    std::vector<long> found(n);
    for (auto& x : found) std::cin >> x;
    return found;
}
""",
    "src/main.cpp": 'long sum();\n#include <cstdio>\nint main() { std::printf("%ld\\n", sum()); }\n',
}
SUM = """```cpp src/sum.cpp
#include "read.hpp"
long sum() {
    long total = 0;
    for (long x : read()) total += x;
    return total;
}
```"""


@pytest.mark.skipif(TOOLCHAINS["cpp"].path is None, reason=f"the system has no g++: {TOOLCHAINS['cpp'].advice}")
def test_a_program_in_cpp_is_corrected_to_acceptance_and_written(played: Played, tmp_path: Path) -> None:
    job = played.play(CPP, SUM.replace("total +=", "totl +="), SUM)
    assert "'totl' was not declared" in played.feedback(job)[0].replace("‘", "'").replace("’", "'")
    assert played.alice.summary(job).state is JobState.ACCEPTED
    assert played.write(job, tmp_path / "out") == ["src/sum.cpp"]
    assert (tmp_path / "out/include/read.hpp").read_text() == CPP["include/read.hpp"]


PACKAGE = {
    "job.md": """---
files: [shop/**]
read_only: [lib]
checks:
  - python: tests/test_bill.py
  - python: tests/hidden.py
    held_out: true
budget: {iterations: 4}
---
Write `shop/bill.py` and `shop/prices.py`.
""",
    "lib/money.py": "def cents(euros):\n    return euros * 100\n",
    "shop/__init__.py": "",
    "tests/test_bill.py": """from shop.bill import Bill, Empty
from shop import prices
import pytest

def test_a_bill_adds_up():
    assert Bill(["tea", "milk"]).total() == 500

def test_an_empty_bill_is_refused():
    with pytest.raises(Empty):
        Bill([]).total()

def test_prices_are_known():
    assert prices.PRICES["tea"] == 3
""",
    "tests/hidden.py": """from shop.bill import Bill

def test_many():
    assert Bill(["tea"] * 3).total() == 900
""",
}
GOODS = """`shop/prices.py`
```python
PRICES = {"tea": 3, "milk": 2}
```
`shop/bill.py`
```python
from lib.money import cents
from .prices import PRICES


class Empty(ValueError):
    pass


class Bill:
    def __init__(self, names):
        self.names = names

    def total(self):
        if not self.names:
            raise Empty
        return cents(sum(PRICES[name] for name in self.names))
```
"""


def test_tests_import_modules_that_the_answer_writes(played: Played, tmp_path: Path) -> None:
    job = played.play(PACKAGE, GOODS.replace("raise Empty", "return 0"), GOODS)
    assert "test_an_empty_bill_is_refused" in played.feedback(job)[0]
    assert played.alice.summary(job).state is JobState.ACCEPTED
    assert played.write(job, tmp_path / "out") == ["shop/bill.py", "shop/prices.py"]


SPIES = {
    "finds no tests": "import pathlib\nassert not list(pathlib.Path('tests').glob('*'))\nraise SystemExit(3)\n",
    "leaves with success": "import os\nos._exit(0)\n",
    "does not compile": "def total(:\n",
    "is not there": None,
}


@pytest.mark.parametrize("what", SPIES)
def test_a_module_of_the_answer_can_neither_see_the_tests_nor_decide(played: Played, what: str) -> None:
    text = SPIES[what]
    answer = "`shop/other.py`\n```python\nX = 1\n```" if text is None else f"`shop/bill.py`\n```python\n{text}```"
    job = played.play({**PACKAGE, "job.md": PACKAGE["job.md"].replace("4}", "1}")}, answer)
    assert played.alice.summary(job).state is JobState.UNSOLVED
    [feedback] = played.feedback(job)
    assert feedback
    assert "AssertionError" not in feedback
    print(feedback)


VERIFIED = """---
files: ["**/*.py"]
checks:
  - command: [verify.py]
    held_out: true
budget: {iterations: 1}
---
Set A to 2.
"""
VERIFY = """import json
from words import A
from wording import NAME
raise SystemExit(json.loads("1") if A == 1 else NAME)
"""
WORDS = {"job.md": VERIFIED, "verify.py": VERIFY, "words.py": "A = 1\n", "wording.py": "NAME = 0\n"}


@pytest.mark.parametrize("name", ["json.py", "json/__init__.py", "sys.py", "encodings/__init__.py"])
def test_a_file_of_the_answer_can_not_stand_in_for_a_module_of_python(played: Played, name: str) -> None:
    job = played.play(WORDS, f"`{name}`\n```python\nimport os\nos._exit(0)\n```")
    assert played.alice.summary(job).state is JobState.UNSOLVED
    module = name.partition("/")[0].removesuffix(".py")
    assert played.feedback(job) == [f"{name!r} has the name of the module {module} of Python: give it another."]


def test_nor_for_one_that_is_there_already_and_its_own_are_found(played: Played) -> None:
    files = {**WORDS, "json.py": "import os\nos._exit(0)\n"}
    assert played.alice.summary(played.play(files, "`words.py`\n```python\nA = 1\n```")).state is JobState.UNSOLVED
    assert played.alice.summary(played.play(files, "`words.py`\n```python\nA = 2\n```")).state is JobState.ACCEPTED

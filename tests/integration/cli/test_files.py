"""A job of two files by the command line: submit, diff and `result -o`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.sampling import Sampling
from tasks.settings import load_settings
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.types import ChatRequest
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.integration.cli.conftest import Urls
from tests.loops import ENGINE_AND_CHECKS, take, twin_loop

pytestmark = pytest.mark.integration

Redraft = Callable[..., Any]
JOB = """---
files: [words/**]
read_only: [stop.txt]
checks:
  - python: test_words.py
  - command: [sh, -c, "python -m words.count a the cat"]
    held_out: true
budget: {iterations: 3}
---
`words/count.py` counts the words that are not in stop.txt, which `words/stop.py` reads.
"""
TEST = """from words.count import count

def test_a_stop_word_is_not_counted():
    assert count(["the", "old", "cat"]) == 2
"""
STOP = "`words/stop.py`\n```python\ndef stop_words():\n    return set(open('stop.txt').read().split())\n```\n"
COUNT = """`words/count.py`
```python
import sys
from words.stop import stop_words


def count(words):
    return sum(word not in stop_words() for word in words)


if __name__ == "__main__":
    sys.exit(count(sys.argv[1:]) != 1)
```
"""


def play(urls: Urls, cache: Path, *answers: str) -> None:
    given = iter(answers)

    def answer(request: ChatRequest) -> str:
        return "NO PROBLEMS" if "List what is wrong" in request.messages[-1].content else next(given)

    with Database(urls.admin, pool=4) as fleet:
        loop = twin_loop(
            PostgresLedger(fleet, fault_cap=3),
            ScriptedModel(answer),
            sampling=Sampling(answer_tokens=1000),
            sandbox=BubblewrapSandbox(default_runtime_folder(cache)),
        )
        while (claim := take(fleet)) is not None:
            loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"job.md": JOB, "test_words.py": TEST, "stop.txt": "a\nthe\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "words").mkdir()
    (tmp_path / "words/count.py").write_text("def count(words):\n    return 0\n")
    return tmp_path


def test_two_files_from_submit_to_result(redraft: Redraft, urls: Urls, folder: Path) -> None:
    said = redraft("submit", "job.md")
    assert (said.code, said.out) == (0, "1\n")
    assert "may be changed: words/count.py\nread-only: stop.txt\n" in said.err
    none = redraft("result", "1", "-o", "out")
    assert (none.code, none.out, (folder / "out").exists()) == (5, "", False)
    play(urls, load_settings().cache, STOP + COUNT.replace("not in", "in"), COUNT)
    whole = redraft("result", "1", "-o", "out")
    assert (whole.code, whole.out, whole.err) == (0, "out/words/count.py\nout/words/stop.py\n", "")
    assert sorted(path.name for path in (folder / "out").rglob("*.*")) == ["count.py", "stop.py", "stop.txt"]
    assert (folder / "words/count.py").read_text() == "def count(words):\n    return 0\n"
    changed = redraft("diff", "1", "1", "2")
    assert changed.out == (
        "--- a/words/count.py\titeration 1\n+++ b/words/count.py\titeration 2\n"
        "@@ -3,7 +3,7 @@\n \n \n def count(words):\n"
        "-    return sum(word in stop_words() for word in words)\n"
        '+    return sum(word not in stop_words() for word in words)\n \n \n if __name__ == "__main__":\n'
    )


def test_a_folder_is_written_for_jobs_with_files_only(redraft: Redraft, folder: Path) -> None:
    (folder / "plain.md").write_text("---\nchecks: [answer: {exact: x}]\n---\nSay x.\n")
    assert redraft("submit", "plain.md").code == 0
    said = redraft("result", "1", "-o", "out")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("-o: ")
    assert "job 1 has none" in said.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("files: [../x]", "job.md: files: '../x' is not allowed; globs such as src/**"),
        ("files: [words/link.py]", "job.md: files: 'words/link.py' is not allowed; regular files; this is a link"),
        ("files: [words/x.bin]", "job.md: files: 'words/x.bin' is not allowed; text files"),
        ("files: []\nread_only: [stop.txt]", "job.md: read_only: 'stop.txt' is not allowed; given beside `files`"),
        ("files: words", "job.md: files: 'words' is not allowed; a list of 1 to 50 globs"),
        (
            "files: [words/count.py]\nchecks: [command: [python, words/count.py]]",
            "job.md: checks[0].command:",
        ),
    ],
)
def test_bad_files_are_one_line_and_nothing_is_stored(redraft: Redraft, folder: Path, line: str, said: str) -> None:
    (folder / "words/x.bin").write_bytes(b"\0\1")
    (folder / "words/link.py").symlink_to(folder / "test_words.py")
    checks = "" if "checks" in line else "\nchecks: [python: test_words.py]"
    (folder / "job.md").write_text(f"---\n{line}{checks}\n---\nCount.\n")
    refused = redraft("submit", "job.md")
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert refused.err.startswith(said)
    assert redraft("ls", "--json").out == ""


SCORED = """---
files: [route/**]
read_only: [stops.txt]
strategy: evolve
checks:
  - score: [measure.py]
    goal: minimise
    target: 4
budget: {iterations: 8}
---
`route/order.py` has a function `order(stops)` that puts the stops of stops.txt, which `route/read.py` reads, in an
order with a short way through all of them.
"""
MEASURE = """import json
from route.order import order
from route.read import stops
known = stops("stops.txt")
found = order(known)
if sorted(found) != sorted(known):
    print(json.dumps({"valid": False, "feedback": f"stops are missing: {sorted(set(known) - set(found))}"}))
else:
    way = sum(abs(a - b) for a, b in zip(found, found[1:]))
    print(json.dumps({"score": way, "metrics": {"stops": len(found)}, "feedback": "the way goes back and forth"}))
"""
READ = "`route/read.py`\n```python\ndef stops(name):\n    return [int(stop) for stop in open(name)]\n```\n"
ORDER = "`route/order.py`\n```python\ndef order(stops):\n    return {}\n```\n"


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    for name, text in {"job.md": SCORED, "measure.py": MEASURE, "stops.txt": "3\n1\n5\n2\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "route").mkdir()
    (tmp_path / "route/order.py").write_text("def order(stops):\n    return []\n")
    return tmp_path


def test_several_files_with_a_score_from_submit_to_result(redraft: Redraft, urls: Urls, scored: Path) -> None:
    assert redraft("submit", "job.md").out == "1\n"
    answers = (
        ORDER.format("[stops[0]]"),  # no route/read.py: the evaluator fails
        READ + ORDER.format("stops[1:]"),  # a stop is missing
        READ + ORDER.format("stops"),  # 2 + 4 + 3
        READ + ORDER.format("stops[::-1]"),  # the same way backwards
        READ + ORDER.format("sorted(stops)[::-1]"),  # 4: the target
    )
    play(urls, load_settings().cache, *answers)
    rows = [json.loads(line) for line in redraft("history", "1", "--json").out.splitlines()]
    assert [row["value"] for row in rows if row["value"] is not None] == [9, 9, 4]
    said = [verdict["feedback"] for row in rows for verdict in row["verdicts"] if not verdict["passed"]]
    assert any("No module named 'route.read'" in feedback for feedback in said)
    assert any("stops are missing: [3]" in feedback for feedback in said)
    [job] = [json.loads(line) for line in redraft("ls", "--json").out.splitlines()]
    assert (job["state"], job["value"]) == ("accepted", 4)
    whole = redraft("result", "1", "-o", "out")
    assert (whole.code, whole.out, whole.err) == (0, "out/route/order.py\nout/route/read.py\n", "")
    assert "sorted(stops)[::-1]" in (scored / "out/route/order.py").read_text()
    assert (scored / "out/stops.txt").read_text() == "3\n1\n5\n2\n"
    assert (scored / "route/order.py").read_text() == "def order(stops):\n    return []\n"

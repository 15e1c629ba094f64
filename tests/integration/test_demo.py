"""`redraft demo` as a person runs it, over a tiny endpoint instead of an engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standin.saying import serving
from workers.home import Home
from workers.packaged import ops

pytestmark = pytest.mark.integration
DEMO = (sys.executable, "-m", "workers.cli.main", "demo")
SOLUTIONS = """```python
def area(width, height): return width * height
def backwards(text): return text[::-1]
def double(n): return 2 * n
def is_even(n): return n % 2 == 0
def headline(text): return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))
def factorial(n): return n * factorial(n - 1) if n else 1
def is_palindrome(text): return text == text[::-1]
```"""


class Model:
    """Solves all problems, `area` after some tries, and none before `open`."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self._tries = 0

    def __call__(self, prompt: str) -> str:
        if "# Problem" not in prompt:
            return "Hello there."
        self.open.wait(60)
        if "`area(" in prompt:
            self._tries += 1
            return SOLUTIONS if self._tries > 4 else "```python\ndef area(width, height): return 0\n```"
        return SOLUTIONS


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def environment(tmp_path: Path, model: Model) -> Iterator[dict[str, str]]:
    home = tmp_path / "redraft"
    with serving(model) as url:
        environment = {**os.environ, "REDRAFT_HOME": str(home), "REDRAFT_ENDPOINT": url}
        try:
            yield environment
        finally:
            model.open.set()
            subprocess.run([*DEMO[:-1], "down"], env=environment, check=False)
            shutil.rmtree(Home(root=home).postgres_folder().parent, ignore_errors=True)


@pytest.mark.slow
def test_an_interrupted_demo_is_gone_on_with_and_the_end_says_what_to_type_next(
    environment: dict[str, str], model: Model
) -> None:
    with subprocess.Popen([*DEMO, "--seed", "7"], env=environment, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        for line in first.stderr:
            if "submitted with seed 7" in line:
                break
        first.send_signal(signal.SIGINT)
        said = first.stderr.read()
    assert first.returncode == 130
    assert "the stack and its jobs go on" in said
    assert "Traceback" not in said

    model.open.set()
    second = run("--json", environment=environment)
    assert "going on with the problems of a demo that was interrupted, with seed 7" in second.stderr
    found = json.loads(second.stdout)
    assert found["seed"] == 7
    assert [job["job"] for job in found["jobs"]] == list(range(1, 8)), "the same jobs, and no new ones"
    assert {job["title"]: job["corrected"] for job in found["jobs"] if job["state"] == "accepted"} == {
        "Area of a rectangle": True,
        "Capitals for a headline": False,
        "Read it backwards": False,
        "Double a number": False,
        "Even or odd": False,
        "Factorial": False,
        "Palindrome": False,
    }

    third = run("--seed", "8", environment=environment)
    assert third.returncode == 3, "nothing was left to correct"
    said = third.stderr.strip().splitlines()
    assert re.match(r"7 of 7 accepted, 0 of them after a rejected iteration, in \d", said[-6]), said
    steps = [re.findall(r"redraft (\w+)", line) for line in said[-4:]]
    assert steps == [["submit"], ["history"], ["watch"], ["down"]]


def run(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *arguments], env=environment, capture_output=True, text=True, timeout=200, check=False
    )


def test_ctrl_c_while_the_stack_starts_stops_what_was_started(environment: dict[str, str]) -> None:
    with subprocess.Popen(DEMO, env=environment, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        demo.stderr.readline()
        demo.send_signal(signal.SIGINT)
        said = demo.stderr.read()
    assert demo.returncode == 130
    assert "stopping what was started" in said
    assert "Traceback" not in said
    status = subprocess.run(
        [*DEMO[:-1], "status", "--json"], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(status.stdout) == {"parts": [], "circuits": [], "hooks": []}


def test_the_demo_has_seven_problems_each_with_a_hidden_check() -> None:
    problems = sorted(ops("demo").glob("*.md"))
    assert len(problems) == 7
    assert all("held_out: true" in problem.read_text() for problem in problems)

"""The evaluators of the examples with a score, as the programs that they are: what they give for a good candidate, for
an invalid one, and for one that means to deceive them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.validators import evaluator as evaluator_package
from tests.best_known import COMPARATORS, EXPRESSION
from workers.packaged import ops

EXAMPLES = ops("examples")
SUPPORT = Path(evaluator_package.__file__).with_name("redraft_evaluation.py")
PAGE = Path(__file__).parents[2] / "ops" / "docs" / "examples.md"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/evaluate.py"))
BEST_FIT = "def choose(item, free):\n    return min(range(len(free)), key=free.__getitem__, default=-1)\n"
IN_ORDER = "def tour(cities):\n    return list(range(len(cities)))\n"
GRID = (EXAMPLES / "circle_packing" / "baseline.py").read_text()
SIMPLE_KERNEL = (EXAMPLES / "c_kernel" / "baseline.c").read_text()
LIE = json.dumps({"score": 99, "valid": True, "metrics": {}, "feedback": "trust me"})


class Evaluator:
    """Copies of the evaluators in which some constants differ, such as a shorter limit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, name: str, answer: str, *arguments: str, **constants: str) -> str:
        """What it writes to standard output."""
        text = (EXAMPLES / name / "evaluate.py").read_text()
        for constant, value in constants.items():
            text, times = re.subn(rf"^((?:\w+, )*{constant}\b.*) = .*$", rf"\1 = {value}", text, flags=re.MULTILINE)
            assert times == 1, constant
        program, candidate = self._folder / "evaluate.py", self._folder / "candidate"
        program.write_text(text)
        shutil.copy(SUPPORT, self._folder)
        candidate.write_text(answer)
        command = [sys.executable, str(program), str(candidate), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=self._folder)
        return done.stdout

    def result(self, name: str, answer: str, *arguments: str, **constants: str) -> dict[str, Any]:
        """The one object that it prints."""
        return dict(json.loads(self.run(name, answer, *arguments, **constants)))

    def refusal(self, name: str, answer: str, **constants: str) -> str:
        """Why the candidate is invalid."""
        result = self.result(name, answer, **constants)
        assert (result["valid"], result["score"]) == (False, None)
        return str(result["feedback"])


@pytest.fixture
def evaluator(tmp_path: Path) -> Evaluator:
    return Evaluator(tmp_path)


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("bin_packing", 4.023275145),
        ("circle_packing", 2.541421356),
        ("regex_golf", 267),
        ("sorting_network", 66),
        ("tsp", 19.228759635),
    ],
)
def test_a_baseline_has_the_score_that_the_page_names(evaluator: Evaluator, name: str, score: float) -> None:
    [baseline] = (EXAMPLES / name).glob("baseline.*")
    result = evaluator.result(name, f"Here it is:\n\n```\n{baseline.read_text()}```\n")
    assert result["valid"] is True
    assert result["score"] == pytest.approx(score)
    assert f"| {score:.4g} |" in PAGE.read_text()


def test_every_example_has_a_baseline_and_a_row_on_the_page() -> None:
    page = PAGE.read_text()
    for name in FOLDERS:
        assert len(list((EXAMPLES / name).glob("baseline.*"))) == 1
        assert page.count(f"| [{name}](../examples/{name}/") == 1
    assert len(FOLDERS) == 6


# Circles


@pytest.mark.parametrize(
    ("packing", "said"),
    [
        ("[(0.5, 0.5, 0.1)] * 25", "must return 26 triples (x, y, radius), not a list of 25"),
        ("'circles'", "not str"),
        ("[(0.5, 0.5, float('nan'))] * 26", "not three finite numbers"),
        ("[(0.5, 0.5, True)] * 26", "not three finite numbers"),
        ("[(0.5, 0.5, 0.01)] * 26", "325 faults: circles 0 and 1 overlap by 0.02"),
        ("[(0.03 * i, 0.5, 0.014) for i in range(25)] + [(0.5, 0.9, 0.11)]", "circle 25 leaves the square by 0.01"),
        ("[(0.03 * i + 0.05, 0.5, -0.01) for i in range(26)]", "the radius of circle 0 is negative"),
    ],
)
def test_a_packing_that_is_none_is_refused(evaluator: Evaluator, packing: str, said: str) -> None:
    assert said in evaluator.refusal("circle_packing", f"def pack():\n    return {packing}\n")


@pytest.mark.parametrize(("excess", "valid"), [("0.9e-9", True), ("1.1e-9", False)])
def test_circles_overlap_by_a_billionth_and_no_more(evaluator: Evaluator, excess: str, valid: bool) -> None:
    packing = f"[(0.25, 0.5, 0.25 + {excess}), (0.75, 0.5, 0.25)] + [(0.5, 0, 0.0)] * 24"
    result = evaluator.result("circle_packing", f"def pack():\n    return {packing}\n")
    assert result["valid"] is valid


def test_it_says_which_circles_could_grow(evaluator: Evaluator) -> None:
    smaller = GRID.replace("0.1 * (2**0.5 - 1)", "0.04")
    assert (
        "1 circles could still grow where they are: circle 25 by 0.00142"
        in evaluator.result("circle_packing", smaller)["feedback"]
    )


# Whatever runs Python


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("", "has no attribute 'pack'"),
        ("def pack(:", "SyntaxError"),
        ("def pack():\n    return 1 / 0", "pack failed: ZeroDivisionError: division by zero"),
        ("def pack():\n    while True: pass", "pack took more than 0.5 seconds"),
        ("import os\ndef pack():\n    os._exit(0)", "pack ended its process"),
        ("def pack():\n    return 'x' * 2_000_000", "returned more than 1,000,000 bytes"),
        ("def pack():\n    return pack", "not JSON serializable"),
        ("import os\nfor fd in range(64):\n    try: os.write(fd, b'5\\n')\n    except OSError: pass", "of its own"),
        ("import os\nif os.fork(): os._exit(0)\nwhile True: pass", "took more than 0.5 seconds"),
    ],
)
def test_code_that_gives_no_packing_is_refused(evaluator: Evaluator, answer: str, said: str) -> None:
    limit = {"SECONDS": "0.5"} if "seconds" in said else {}
    assert said in evaluator.refusal("circle_packing", answer, **limit)


@pytest.mark.parametrize("write", ["print(LIE)", "os.write(1, LIE.encode())", "os.system(f'echo {LIE!r}')"])
def test_what_a_candidate_prints_is_no_score(evaluator: Evaluator, write: str) -> None:
    answer = f"import os\nLIE = {LIE!r}\n{write}\n{GRID}\n"
    assert evaluator.result("circle_packing", answer)["score"] == pytest.approx(2.541421356)


def test_a_candidate_that_kills_its_evaluator_gets_no_score(evaluator: Evaluator) -> None:
    answer = "import os, signal\ndef pack():\n    os.kill(os.getppid(), signal.SIGKILL)\n"
    assert evaluator.run("circle_packing", answer) == ""


# Bins


@pytest.mark.parametrize("chosen", ["len(free)", "-2", "0.0", "None", "True", "[0]"])
def test_a_bin_that_is_not_there_is_refused(evaluator: Evaluator, chosen: str) -> None:
    answer = f"def choose(item, free):\n    return {chosen} if free else -1\n"
    assert "must return an index into free" in evaluator.refusal("bin_packing", answer, ITEMS="1, 100, 100")


def test_bins_are_scored_by_the_seed_and_nothing_else(evaluator: Evaluator) -> None:
    few = {"ITEMS": "1, 300, 100"}
    first = evaluator.result("bin_packing", BEST_FIT, **few)
    assert evaluator.result("bin_packing", BEST_FIT, **few) == first
    assert evaluator.result("bin_packing", BEST_FIT, "--seed", "2", **few) != first
    alone = evaluator.result("bin_packing", "def choose(item, free):\n    return -1\n", **few)
    assert alone["metrics"]["bins"] == 300
    assert alone["score"] > 10 * first["score"]


# Tours


@pytest.mark.parametrize(
    ("tour", "said"),
    [
        ("[0] * len(cities)", "each of the indices 0 to 51 once; it holds 52, misses [1, 2, 3, 4, 5] and has [0]"),
        ("list(range(len(cities) - 1))", "misses [51]"),
        ("[float(i) for i in range(len(cities))]", "must return a list of indices"),
        ("None", "must return a list of indices"),
    ],
)
def test_a_tour_that_misses_a_city_is_refused(evaluator: Evaluator, tour: str, said: str) -> None:
    assert said in evaluator.refusal("tsp", f"def tour(cities):\n    return {tour}\n")


def test_random_tours_lie_above_their_bound_by_little_where_they_are_good(evaluator: Evaluator) -> None:
    """The lower bound comes within some percent of a tour that was improved until no two edges could be exchanged."""
    two_opt = """
import math
def tour(cities):
    n, order = len(cities), list(range(len(cities)))
    gain = True
    while gain:
        gain = False
        for i in range(n - 1):
            for j in range(i + 2, n - (i == 0)):
                a, b, c, d = (cities[order[k % n]] for k in (i, i + 1, j, j + 1))
                if math.dist(a, c) + math.dist(b, d) < math.dist(a, b) + math.dist(c, d) - 1e-9:
                    order[i + 1 : j + 1] = reversed(order[i + 1 : j + 1])
                    gain = True
    return order
"""
    few = {"SIZES": "(30, 40), 1000"}
    good = evaluator.result("tsp", two_opt, "--seed", "5", **few)
    assert 0 <= good["score"] < 12
    assert evaluator.result("tsp", IN_ORDER, "--seed", "5", **few)["score"] > 100
    assert evaluator.result("tsp", two_opt, "--seed", "6", **few) != good


# The network


def test_the_best_network_known_is_valid(evaluator: Evaluator) -> None:
    pairs = COMPARATORS
    result = evaluator.result("sorting_network", json.dumps(pairs))
    assert (result["valid"], result["score"]) == (True, 39)
    without = evaluator.refusal("sorting_network", json.dumps(pairs[:-1]))
    assert re.search(r"38 comparators leave [1-9]\d* of the 4,096 inputs", without)
    idle = evaluator.result("sorting_network", json.dumps([*pairs, pairs[-1]]))
    assert idle["score"] == 40
    assert "numbered [39] from 0 never exchange" in idle["feedback"]


@pytest.mark.parametrize(
    "answer", ["", "[]", "[[0, 12]]", "[[1, 1]]", "[[2, 1]]", "[[0, 1.0]]", "[[0, true]]", "[0]", "[[0]]", "[" * 5000]
)
def test_what_is_no_network_is_refused(evaluator: Evaluator, answer: str) -> None:
    assert evaluator.refusal("sorting_network", answer)


# The expression


def test_the_best_expression_known_is_valid(evaluator: Evaluator) -> None:
    result = evaluator.result("regex_golf", f"This one:\n```regex\n{EXPRESSION}\n```\nIt is short.")
    assert (result["valid"], result["score"]) == (True, 47)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (" \n ", "no expression"),
        ("a" * 1001, "1,001 characters"),
        ("(a", "expression failed"),
        (".", "misses 0 of the 34 names that it must match () and matches 34"),
        ("^$", "misses 34"),
        (f"/{EXPRESSION}/", "Slashes around it are part of it"),
        ("((([a-z]+)+)+)+!", "expression took more than 0.5 seconds"),
    ],
)
def test_an_expression_that_does_not_tell_them_apart_is_refused(
    evaluator: Evaluator, expression: str, said: str
) -> None:
    limit = {"SECONDS": "0.5"} if "seconds" in said else {}
    assert said in evaluator.refusal("regex_golf", expression, **limit)


# The kernel

compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
SMALL = {"SIZE": "40", "ROUNDS": "2"}


@compiler
def test_a_kernel_is_timed_beside_the_simple_one(evaluator: Evaluator) -> None:
    result = evaluator.result("c_kernel", SIMPLE_KERNEL)
    assert result["valid"] is True
    assert 0 < result["score"] < 1
    metrics = result["metrics"]
    assert result["score"] == pytest.approx(metrics["milliseconds"] / metrics["simple_milliseconds"])


@compiler
def test_a_kernel_that_lets_another_process_work_is_refused(evaluator: Evaluator) -> None:
    forking = """
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static void product(int n, const double *a, const double *b, double *c);
void multiply(int n, const double *a, const double *b, double *c) {
    double *shared = mmap(0, 8L * n * n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int child = fork();
    if (!child) { product(n, a, b, shared); _exit(0); }
    waitpid(child, 0, 0);
    for (int i = 0; i < n * n; i++) c[i] = shared[i];
}
""" + SIMPLE_KERNEL.replace("void multiply", "static void product")
    assert "started other processes" in evaluator.refusal("c_kernel", forking, SIZE="200", ROUNDS="4")


@compiler
def test_a_kernel_whose_helper_nobody_waits_for_is_refused(evaluator: Evaluator) -> None:
    helped = """
#include <signal.h>
#include <unistd.h>
static void product(int n, const double *a, const double *b, double *c);
void multiply(int n, const double *a, const double *b, double *c) {
    int ends[2];
    signal(SIGCHLD, SIG_IGN);
    if (pipe(ends)) return;
    if (!fork()) {
        product(n, a, b, c);
        for (size_t done = 0, all = 8L * n * n; done < all;) done += write(ends[1], (char *)c + done, all - done);
        _exit(0);
    }
    for (size_t done = 0, all = 8L * n * n; done < all;) done += read(ends[0], (char *)c + done, all - done);
    close(ends[0]), close(ends[1]);
}
""" + SIMPLE_KERNEL.replace("void multiply", "static void product")
    assert "started other processes" in evaluator.refusal("c_kernel", helped, SIZE="200", ROUNDS="4")


@compiler
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("void multiply(int n", "does not compile"),
        ("int main(void) { return 0; }", "does not compile"),
        (SIMPLE_KERNEL.replace("a[i * n + k]", "(float)a[i * n + k]"), "is wrong in row 0"),
        ("void multiply(int n, const double *a, const double *b, double *c) {}", "is wrong in row"),
        ("void multiply(int n, const double *a, const double *b, double *c) { *(int *)0 = 1; }", "signal"),
        (
            "#include <stdlib.h>\nvoid multiply(int n, const double *a, const double *b, double *c) { exit(3); }",
            "code 3",
        ),
        ("void multiply(int n, const double *a, const double *b, double *c) { for (;;); }", "more than 0.5 seconds"),
        (f"#include <stdio.h>\n{SIMPLE_KERNEL[:-2]}puts({json.dumps(LIE)}); }}", "is wrong in row"),
    ],
)
def test_a_kernel_that_multiplies_nothing_is_refused(evaluator: Evaluator, source: str, said: str) -> None:
    limit = {"COMPILE_SECONDS": "20, 0.5"} if "seconds" in said else {}
    assert said in evaluator.refusal("c_kernel", source, **SMALL, **limit)


def test_without_a_compiler_it_says_so(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no C compiler here: no program cc" in evaluator.refusal("c_kernel", SIMPLE_KERNEL, **SMALL)

"""Scores an online heuristic for bin packing by the bins it needs beyond the lower bound, in percent.

    evaluate.py ANSWER [--seed N]

The answer's function `choose(item, free)` is called once for each item, in a process of its own, before the next item
is known there; this program keeps the bins. Instances are those of FunSearch's "Weibull 5k" in kind: 5,000 items of
sizes from a Weibull distribution of scale 45 and shape 3, and bins of 100. The seed makes them.
"""

import argparse
import contextlib
import ctypes
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

INSTANCES, ITEMS, CAPACITY = 3, 5000, 100
SCALE, SHAPE = 45, 3
SECONDS = 30

# --- The candidate's process. The same in every example that runs Python; a test compares them. ---
# It keeps the descriptors of its pipe to itself, and answers each line of JSON, the arguments of a call, with one.
SERVE = """
import json, os, sys, types
requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0), os.dup2(null, 1)
name, source = json.loads(requests.readline())
module = sys.modules["solution"] = types.ModuleType("solution")
try:
    exec(compile(source, "solution.py", "exec"), module.__dict__)
    function = getattr(module, name)
except BaseException as error:
    replies.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\\n")
    replies.flush()
    sys.exit()
for line in requests:
    try:
        reply = json.dumps({"value": function(*json.loads(line))})
    except BaseException as error:
        reply = json.dumps({"error": f"{type(error).__name__}: {error}"})
    replies.write(reply + "\\n")
    replies.flush()
"""
REPLY_BYTES = 1_000_000
PR_SET_DUMPABLE = 4


class Refused(Exception):
    """The candidate is invalid; the message says why."""


class Solution:
    """A function of the candidate's, in a process that sees its arguments and nothing else of the evaluator's.

    All calls together may take `seconds` of wall time. Raises `Refused` where the process breaks off, is too slow, or
    answers with something other than one line of JSON.
    """

    def __init__(self, source, name, seconds):
        # Nobody of the same user may then open this process's memory or descriptors, through which a score could be
        # written.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        signal.signal(signal.SIGALRM, self._too_slow)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        self._name, self._seconds, pipe = name, seconds, subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", SERVE],
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._send([name, source])

    def call(self, *arguments):
        """What the function returns, as JSON carries it: a tuple comes back as a list."""
        self._send(arguments)
        line = self._process.stdout.readline(REPLY_BYTES + 1)
        if not line.endswith(b"\n"):
            raise Refused(f"{self._name} ended its process, or returned more than {REPLY_BYTES:,} bytes.")
        try:
            reply = json.loads(line)
            if isinstance(reply, dict) and "error" in reply:
                raise Refused(f"{self._name} failed: {str(reply['error'])[:500]}")
            return reply["value"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Refused(f"The process of {self._name} wrote something of its own to its pipe.") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _send(self, value):
        with contextlib.suppress(BrokenPipeError):  # the reply that is missing says that it ended
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()

    def _too_slow(self, *_):
        raise Refused(f"{self._name} took more than {self._seconds:g} seconds.")


def last_block(path):
    """The last fenced block of the answer, or all of it where there is none."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return blocks[-1] if blocks else text


def report(evaluate):
    """Prints what `evaluate` returns (score, metrics, feedback), or why it refused the candidate."""
    try:
        score, metrics, feedback = evaluate()
        result = {"score": score, "valid": True, "metrics": metrics, "feedback": feedback}
    except Refused as reason:
        result = {"score": None, "valid": False, "metrics": {}, "feedback": str(reason)}
    print(json.dumps(result))


# --- The end of what is the same in every example. ---


def instance(numbers):
    """The sizes of the items, whole numbers from 1 to the capacity of a bin."""
    return [min(CAPACITY, max(1, round(numbers.weibullvariate(SCALE, SHAPE)))) for _ in range(ITEMS)]


def pack(items, solution):
    """The free space of each bin after the last item. Raises `Refused`."""
    bins = []
    for item in items:
        fitting = [index for index, free in enumerate(bins) if free >= item]
        chosen = solution.call(item, [bins[index] for index in fitting])
        if not isinstance(chosen, int) or isinstance(chosen, bool) or not -1 <= chosen < len(fitting):
            raise Refused(
                f"choose({item}, free) with {len(fitting)} bins that have room returned {str(chosen)[:80]}; "
                f"it must return an index into free, or -1 for a new bin."
            )
        if chosen == -1:
            bins.append(CAPACITY - item)
        else:
            bins[fitting[chosen]] -= item
    return bins


def evaluate():
    parser = argparse.ArgumentParser()
    parser.add_argument("answer")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    numbers = random.Random(given.seed)
    used, bound, wasted = 0, 0, 0
    with Solution(last_block(given.answer), "choose", SECONDS) as solution:
        for _ in range(INSTANCES):
            items = instance(numbers)
            bins = pack(items, solution)
            used += len(bins)
            bound += -(-sum(items) // CAPACITY)  # the L1 bound: the sizes' sum in whole bins
            wasted += sum(free for free in bins if free >= CAPACITY // 4)
    excess = 100 * (used - bound) / bound
    said = f"It is valid; {used} bins where at least {bound} are needed, {excess:.3f} % more. "
    said += f"{100 * wasted / CAPACITY / bound:.2f} % of the space is lost in bins that are still a quarter empty."
    return excess, {"bins": used, "lower_bound": bound}, said


report(evaluate)

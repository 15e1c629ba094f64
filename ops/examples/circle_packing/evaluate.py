"""Scores a packing of 26 circles in the unit square by the sum of their radii. Its one argument is the file with the
answer, whose function `pack()` returns 26 triples (x, y, radius) and runs in a process of its own.

Whether a packing is valid is decided in exact arithmetic with fractions, so that no rounding error of this program can
decide it: a circle may leave the square, and two may overlap, by at most TOLERANCE.
"""

import contextlib
import ctypes
import json
import math
import os
import re
import signal
import subprocess
import sys
from fractions import Fraction
from itertools import combinations
from pathlib import Path

CIRCLES = 26
TOLERANCE = Fraction(1, 10**9)
SECONDS = 10

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


def exact(packing):
    """The circles as fractions; every float is one. Raises `Refused`."""
    if not isinstance(packing, list) or len(packing) != CIRCLES:
        count = f"a list of {len(packing)}" if isinstance(packing, list) else type(packing).__name__
        raise Refused(f"pack() must return {CIRCLES} triples (x, y, radius), not {count}.")
    circles = []
    for number, circle in enumerate(packing):
        if not isinstance(circle, list) or len(circle) != 3 or not all(is_number(value) for value in circle):
            raise Refused(f"Circle {number} is {str(circle)[:80]}, not three finite numbers (x, y, radius).")
        circles.append(tuple(Fraction(value) for value in circle))
    return circles


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e6


def faults(circles):
    """Every way in which the packing breaks the rules, in words."""
    for number, (x, y, radius) in enumerate(circles):
        if radius < 0:
            yield f"the radius of circle {number} is negative"
        if min(x, y, 1 - x, 1 - y) - radius < -TOLERANCE:
            yield f"circle {number} leaves the square by {float(radius - min(x, y, 1 - x, 1 - y)):.3g}"
    for (i, (x, y, radius)), (j, (u, v, other)) in combinations(enumerate(circles), 2):
        reach = radius + other - TOLERANCE
        if reach > 0 and (x - u) ** 2 + (y - v) ** 2 < reach**2:
            overlap = float(radius + other) - math.dist((x, y), (u, v))
            yield f"circles {i} and {j} overlap by {overlap:.3g}"


def gaps(circles):
    """The free space around each circle by which it alone could grow, largest first: (gap, number)."""
    plain = [tuple(map(float, circle)) for circle in circles]
    for number, (x, y, radius) in enumerate(plain):
        walls = min(x, y, 1 - x, 1 - y) - radius
        others = [math.dist((x, y), (u, v)) - radius - r for j, (u, v, r) in enumerate(plain) if j != number]
        yield min(walls, *others), number


def evaluate():
    with Solution(last_block(sys.argv[1]), "pack", SECONDS) as solution:
        circles = exact(solution.call())
    broken = list(faults(circles))
    if broken:
        raise Refused(f"{len(broken)} faults: {'; '.join(broken[:5])}.")
    total = float(sum(radius for _, _, radius in circles))
    loose = sorted(((gap, number) for gap, number in gaps(circles) if gap > 1e-6), reverse=True)
    room = ", ".join(f"circle {number} by {gap:.3g}" for gap, number in loose[:5])
    said = f"It is valid; the sum of the radii is {total:.8f}. "
    said += f"{len(loose)} circles could still grow where they are: {room}." if loose else "No circle can grow alone."
    return total, {"loose_circles": len(loose), "smallest_radius": float(min(r for _, _, r in circles))}, said


report(evaluate)

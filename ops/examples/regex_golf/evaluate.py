"""Scores a regular expression by its length: it must match each name of one list and none of another. Its one argument
is the file with the answer, whose last line, or whose last fenced block, is the expression.

The expression is data. It is matched in a process of its own, since matching may take for ever.
"""

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

LONGEST = 1000
SECONDS = 5


def words(text):
    return text.split()


# Who was elected president of the United States, and who was only nominated: the lists of Norvig and Pochmann.
MATCH = words("""
    washington adams jefferson madison monroe jackson van-buren harrison polk taylor pierce buchanan lincoln grant
    hayes garfield cleveland mckinley roosevelt taft wilson harding coolidge hoover truman eisenhower kennedy
    johnson nixon carter reagan bush clinton obama
""")
REJECT = words("""
    pinckney king clay cass scott fremont breckinridge mcclellan seymour greeley tilden hancock blaine bryan parker
    hughes cox davis smith landon willkie dewey stevenson goldwater humphrey mcgovern ford mondale dukakis dole gore
    kerry mccain romney
""")
MATCHER = """
import re
def expression(pattern, words):
    search = re.compile(pattern).search
    return [word for word in words if search(word)]
"""

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


def read_expression(path):
    """The expression. Raises `Refused`."""
    lines = [line.strip() for line in last_block(path).splitlines() if line.strip()]
    if not lines:
        raise Refused("There is no expression in the answer.")
    if len(lines[-1]) > LONGEST:
        raise Refused(f"The expression has {len(lines[-1]):,} characters; at most {LONGEST:,} are allowed.")
    return lines[-1]


def evaluate():
    pattern = read_expression(sys.argv[1])
    with Solution(MATCHER, "expression", SECONDS) as solution:
        found = set(solution.call(pattern, MATCH + REJECT))
    missed, wrong = [word for word in MATCH if word not in found], [word for word in REJECT if word in found]
    if missed or wrong:
        slashes = " Slashes around it are part of it: leave them out." if pattern[0] == pattern[-1] == "/" else ""
        raise Refused(
            f"The expression {pattern[:100]} misses {len(missed)} of the {len(MATCH)} names that it must match"
            f" ({', '.join(missed[:8])}) and matches {len(wrong)} that it must not ({', '.join(wrong[:8])}).{slashes}"
        )
    return len(pattern), {}, f"It is valid and has {len(pattern)} characters."


report(evaluate)

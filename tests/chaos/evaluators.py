"""Evaluators of a check with a score that fail, hang, lie or are honest, and what must come of each. They know nothing
of jobs."""

from __future__ import annotations

from dataclasses import dataclass

HUNG_SECONDS = 1.0  # the limit of those that never end
# Of those that end by themselves: a starved machine must not end them before.
SECONDS = 10.0
_TOO_LONG = f"more than the {HUNG_SECONDS:.0f} s allowed"
# An argument of each evaluator, by which its processes are found from outside; its limit is the next one.
MARK = "redraft-evaluator-under-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """`source` is a Python program, and `seconds` its limit. `value` is the score that must be recorded; None where the
    candidate must count as invalid, and the feedback say why: it holds `said`."""

    name: str
    source: str
    value: float | None = None
    said: str = ""
    seconds: float = SECONDS


def printing(
    name: str, *lines: str, value: float | None = None, said: str = "", then: str = "", seconds: float = SECONDS
) -> Evaluator:
    """An evaluator that prints the lines, and then does something else."""
    prints = "".join(f"print({line!r}, flush=True)\n" for line in lines)
    return Evaluator(name=name, source=f"import os, time\n{prints}{then}", value=value, said=said, seconds=seconds)


def hanging(name: str, *lines: str, then: str, said: str = _TOO_LONG) -> Evaluator:
    """One that prints the lines, and never ends by itself."""
    return printing(name, *lines, said=said, then=then, seconds=HUNG_SECONDS)


_LEAVES_A_SCORE = """
import json, pathlib
places = [pathlib.Path(folder, "score") for folder in ("/tmp", "/dev/shm", "/home/job")]
known = [place.read_text() for place in places if place.exists()]
for place in places:
    place.write_text("999")
print(json.dumps({"score": float(known[0]) if known else 4.5}))
"""
_CHILDREN_THAT_STAY = """
import os, signal, time
for _ in range(5):
    if not os.fork():
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        break
print(9, flush=True)
time.sleep(60)
"""

EVALUATORS = (
    printing("honest", '{"score": 1.5, "feedback": "good"}', value=1.5),
    printing("negative", "-2", value=-2.0),
    printing("with notes", "3 runs", '{"score": 2.5, "valid": true}', value=2.5),
    Evaluator(name="looks for the score of another", source=_LEAVES_A_SCORE, value=4.5),
    printing(
        "leaves a process behind", "3.5", value=3.5, then="if not os.fork():\n    os.setsid()\n    time.sleep(60)"
    ),
    hanging("hung", then="time.sleep(60)"),
    hanging("hung with a score", '{"score": 9}', then="time.sleep(60)"),
    hanging("busy", then="while True: pass"),
    Evaluator(name="hung with children", source=_CHILDREN_THAT_STAY, said=_TOO_LONG, seconds=HUNG_SECONDS),
    hanging("forking", then="while True:\n    try: os.fork()\n    except OSError: pass", said="did not finish"),
    printing("crashing", '{"score": 9}', then="os.abort()", said="crashed (SIGABRT)"),
    printing("failing", '{"score": 9}', then="raise SystemExit(3)", said="exit code 3"),
    printing("endless", then="while True: print('{\"score\": 9}')", said="wrote far too much"),
    printing("silent", said="printed nothing"),
    printing("text", "the score is 9", said="its last line is no score"),
    printing("not a number", '{"score": NaN, "valid": true}', said="not a finite number"),
    printing("infinity", '{"score": -Infinity, "valid": true}', said="not a finite number"),
    printing("too large", '{"score": 1e999, "valid": true}', said="not a finite number"),
    printing("two results", '{"score": 7}', '{"score": 2.5}', said="several results"),
    printing("two objects", '{"score": 9}{"score": 1}', said="its last line is no score"),
    printing("no score", '{"valid": true}', said="no `score`"),
    printing("true", '{"score": true, "valid": true}', said="not a number"),
    printing("invalid", '{"score": 9, "valid": false, "feedback": "it is bent"}', said="it is bent"),
)

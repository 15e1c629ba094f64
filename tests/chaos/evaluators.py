"""Programs that judge a candidate and fail, hang, lie or are honest, and what must come of each. They know nothing of
jobs."""

from __future__ import annotations

from dataclasses import dataclass

SECONDS = 1.0  # the limit of each
# An argument of each evaluator, by which its processes are found from outside.
MARK = "redraft-evaluator-under-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """`source` is a Python program. `ends` says whether it ends by itself with exit code 0, within its limits; `value`
    is the score that it gives, None where it gives none that counts."""

    name: str
    source: str
    ends: bool = True
    value: float | None = None


_LEAVES_A_SCORE = """
import json, pathlib
places = [pathlib.Path(folder, "score") for folder in ("/tmp", "/dev/shm", "/home/job")]
known = [place.read_text() for place in places if place.exists()]
for place in places:
    place.write_text("999")
print(json.dumps({"score": float(known[0]) if known else 4.5}))
"""

EVALUATORS = (
    Evaluator(name="honest", source='print(\'{"score": 1.5, "feedback": "good"}\')', value=1.5),
    Evaluator(name="negative", source="print(-2)", value=-2.0),
    Evaluator(name="talkative", source='print(\'{"score": 7}\')\nprint(\'{"score": 2.5, "valid": true}\')', value=2.5),
    Evaluator(name="looks for the score of another", source=_LEAVES_A_SCORE, value=4.5),
    Evaluator(
        name="leaves a process behind",
        source="import os, time\nif os.fork():\n    print(3.5)\nelse:\n    os.setsid()\n    time.sleep(60)",
        value=3.5,
    ),
    Evaluator(name="hung", ends=False, source="import time\ntime.sleep(60)"),
    Evaluator(name="busy", ends=False, source="while True: pass"),
    Evaluator(
        name="forking",
        ends=False,
        source="import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    ),
    Evaluator(
        name="hung with children",
        ends=False,
        source="import os, signal, time\nfor _ in range(5):\n    if not os.fork():\n        os.setsid()\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n        break\nprint(9)\ntime.sleep(60)",
    ),
    Evaluator(name="crashing", ends=False, source="import os\nprint('{\"score\": 9}', flush=True)\nos.abort()"),
    Evaluator(name="failing", ends=False, source="print('{\"score\": 9}')\nraise SystemExit(3)"),
    Evaluator(name="silent", source="pass"),
    Evaluator(name="text", source="print('the score is 9')"),
    Evaluator(name="not a number", source='print(\'{"score": NaN, "valid": true}\')'),
    Evaluator(name="infinity", source='print(\'{"score": -Infinity, "valid": true}\')'),
    Evaluator(name="too large", source='print(\'{"score": 1e999, "valid": true}\')'),
    Evaluator(name="two objects", source='print(\'{"score": 9}{"score": 1}\')'),
    Evaluator(name="no score", source="print('{\"valid\": true}')"),
    Evaluator(name="true", source='print(\'{"score": true, "valid": true}\')'),
    Evaluator(name="invalid", source='print(\'{"score": 9, "valid": false, "feedback": "it is bent"}\')'),
    Evaluator(name="endless", ends=False, source="while True: print('{\"score\": 9}')"),
)

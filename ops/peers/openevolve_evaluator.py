"""What OpenEvolve calls with each candidate: the job's own check, in Redraft's sandbox, by the server of the contest.

Its `combined_score` rises and lies in [0, 1), as OpenEvolve's own examples have it: how near a value is to the best
known. A candidate that is invalid has 0, and its artifact says why.
"""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

from openevolve.evaluation_result import EvaluationResult


def evaluate(program_path: str) -> EvaluationResult:
    """OpenEvolve's form of a result."""
    body = json.dumps({"candidate": Path(program_path).read_text()}).encode()
    address, header = f"{os.environ['CONTEST']}/evaluate", {"Content-Type": "application/json"}
    request = urllib.request.Request(address, body, header)  # noqa: S310  (on loopback)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        verdict = json.load(answer)
    if verdict["value"] is None:
        return EvaluationResult(metrics={"combined_score": 0.0}, artifacts={"failure": verdict["feedback"]})
    metrics = {"combined_score": verdict["share"], "score": verdict["value"]}
    return EvaluationResult(metrics=metrics, artifacts={"feedback": verdict["feedback"]})

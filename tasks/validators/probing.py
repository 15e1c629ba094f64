"""What a program returns for given calls, as a digest: two programs that behave alike have the same one.

Generated inputs tell candidates apart; nothing here says which of them is right. Must not know who wrote the inputs,
nor how the sandbox confines.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence

from tasks.ports import Heartbeat, Sandbox
from tasks.types import JOINED, CheckSpec, SandboxJob
from tasks.validators.ending import ended
from tasks.validators.extraction import Code
from tasks.validators.programs import argv_of

# For all calls of a run together: those of the check, within these bounds. A busy machine takes seconds to begin. A
# call that uses them up is a behaviour of its own, and the next begin anew.
SECONDS = (5.0, 10.0)
# So often does a program that hangs or crashes begin anew, before the calls that are left count as the last one.
RUNS = 4
NEVER_RAN = "it never ran"
DIGEST_CHARS = 16
_REPORT_FD = 9  # as in inside/probe.py


def behaviour_of(code: Code, inputs: Sequence[str], check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> str:
    """A digest of what `code` returns for each of `inputs`, calls of its functions with literals, within the limits of
    `check`. Raises `ServiceFault`s and what `heartbeat` raises."""
    outcomes: list[str] = []
    for _ in range(RUNS):
        if len(outcomes) == len(inputs):
            break
        outcomes += _run(code, inputs[len(outcomes) :], check, sandbox, heartbeat)
    outcomes += (outcomes[-1:] or [NEVER_RAN]) * (len(inputs) - len(outcomes))
    return digest(outcomes)


def digest(outcomes: Sequence[str]) -> str:
    """The first digits, in hex, of the SHA-256 of the texts."""
    return hashlib.sha256(json.dumps(list(outcomes)).encode()).hexdigest()[:DIGEST_CHARS]


def _run(code: Code, inputs: Sequence[str], check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Sequence[str]:
    """The outcomes of the calls up to the first that does not end, whose outcome is how it ended; none where the time
    was over before the program had begun, which says nothing of it."""
    texts = {**code.modules, "solution.py": code.source}
    asking = SandboxJob(
        argv=argv_of("probe"),
        stdin=json.dumps({"calls": list(inputs), "channels": JOINED}).encode(),
        timeout_seconds=min(max(SECONDS[0], check.timeout_seconds), SECONDS[1]),
        memory_mb=check.memory_mb,
        runtime=check.runtime,
        report_fd=_REPORT_FD,
    )
    answering = dataclasses.replace(
        asking,
        argv=argv_of("candidate", *map(str, JOINED)),
        files={name: text.encode("utf-8", "replace") for name, text in texts.items()},
        stdin=b"",
        report_fd=None,
    )
    result, candidate_result = sandbox.run_joined(asking, answering, heartbeat)
    loaded, *lines = result.report.decode().splitlines() or [""]
    if not loaded:
        return []
    outcomes = [str(json.loads(line)) for line in lines if line.endswith('"')]
    if len(outcomes) < len(inputs):
        ending = ended(candidate_result, check) or ended(result, check) or "it ended"
        outcomes.append(ending.partition(" than ")[0])  # without the limit
    return outcomes[: len(inputs)]

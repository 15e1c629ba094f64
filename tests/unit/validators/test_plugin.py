"""A third-party validator: installed, found by its entry point, and used as a check like Redraft's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "plugin"
USE = """
import json, sys
from tasks.errors import InvalidInput
from tasks.jobflags import Flags
from tasks.submit import Rules, read_jobs
from tasks.validators import registry

try:
    [job] = read_jobs([sys.argv[1]], Flags(), Rules(validators=registry, strategies=("correct",)), bytes).specs
except InvalidInput as refused:
    sys.exit(str(refused))

class Heartbeat:
    def beat(self, tokens=0): ...
    def expect_silence(self, seconds): ...
    def check(self): ...

lines = []
for candidate in sys.argv[2:]:
    verdicts = registry.validate(candidate, job.checks, None, Heartbeat())
    lines.append([[v.check, v.passed, v.feedback] for v in verdicts] + [registry.accepted(verdicts, job.checks)])
print(json.dumps(lines))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the plug-in, without a network."""
    folder = tmp_path_factory.mktemp("plugin")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", folder, PLUGIN], check=True, timeout=120)
    return folder


@pytest.fixture
def job(tmp_path: Path) -> Path:
    file = tmp_path / "job.md"
    file.write_text("---\nchecks:\n  - palindrome: 5\n---\nWrite a palindrome.\n")
    return file


def use(job: Path, *candidates: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(path or "")}
    command = [sys.executable, "-c", USE, str(job), *candidates]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_an_installed_plug_in_checks_candidates(installed: Path, job: Path) -> None:
    process = use(job, "Never odd or even", "Never mind", path=installed)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == [
        [["palindrome", True, ""], True],
        [["palindrome", False, "This is no palindrome of 5 letters."], False],
    ]


def test_its_own_words_refuse_a_bad_value(installed: Path, job: Path) -> None:
    job.write_text(job.read_text().replace("5", "0"))
    process = use(job, path=installed)
    assert process.returncode == 1
    assert "checks[0].palindrome: 0 is not allowed; a whole number of at least 1" in process.stderr


def test_without_it_the_kind_is_unknown(job: Path) -> None:
    process = use(job)
    assert process.returncode == 1
    assert "there is no such check" in process.stderr
    assert "palindrome" not in process.stderr.partition("kinds are")[2]

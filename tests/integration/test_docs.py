"""The documentation's queries and its tutorial, run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pytest

from tasks.settings import load_settings
from tasks.store.ledger import PostgresLedger
from tasks.store.reading import run_sql
from tasks.store.session import Database
from tasks.types import Budget
from tests.integration.store.lifecycle.histories import SPENT, WON, change, put, run
from tests.pages import DOCS, ROOT, blocks
from tests.standin.saying import serving
from workers.home import Home

pytestmark = pytest.mark.integration
WRONG = "```python\ndef add(a, b):\n    return a - b\n```\nANSWER: 13"
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```\nANSWER: 12"
TUTORIAL = DOCS / "tutorial.md"


@pytest.fixture
def kept(user: Database, fleet: Database) -> Database:
    """Alice's database with an accepted job, an unsolved one and one that waits; with calls, a lesson, a crash, a loop
    and a request to the cloud."""
    ledger = PostgresLedger(fleet, fault_cap=3)
    put(user)
    run(fleet, ledger, [(0.0, 0.5), (0.5, 1.0)], WON)
    put(user, seed=1, budget=Budget(iterations=2))
    run(fleet, ledger, [(0.0,), (0.5,)], SPENT)
    change(fleet, "UPDATE verdicts SET held_out = true WHERE job_id = 2")
    change(fleet, """UPDATE calls SET guard = '{"kind": "cycle", "at_char": 5, "copies": 7}' WHERE job_id = 2""")
    change(fleet, "UPDATE jobs SET budget_tokens = 40 WHERE id = 2")
    change(
        fleet,
        """INSERT INTO crashes (job_id, epoch, worker, why, calls, tokens, tokens_at_most, seconds, seconds_at_most)
           VALUES (2, 1, 'w', 'silent', 1, 5, 9, 1, 2)""",
    )
    change(
        fleet,
        """INSERT INTO escalations (job_id, iteration, kind, model, state, request, usd)
           VALUES (2, 2, 'answer', 'gpt-5.4', 'done', '{"input": "?"}', 0.01)""",
    )
    change(
        fleet,
        """INSERT INTO lessons (job_id, owner, family, kind, situation, advice, avoid, evidence)
           VALUES (1, 'alice', 'answer', 'success', 'when', 'do', 'avoid', 'passed')""",
    )
    put(user, seed=2)
    return user


def test_each_worked_query_gives_rows_to_the_owner_of_the_jobs(kept: Database) -> None:
    for query in blocks(DOCS / "sql.md", "sql"):
        rows = run_sql(kept, query)
        assert rows.columns, query
        assert rows.rows, query


def test_the_example_of_the_client_runs_as_it_stands(
    login: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDRAFT_DATABASE_URL", login("alice"))
    load_settings.cache_clear()
    Path("problem.md").write_text("---\nchecks: [{answer: 12}]\n---\nHow many eggs are a dozen?\n")
    (example,) = blocks(DOCS / "python.md", "python")
    exec(example.replace("timeout=600", "timeout=0"), {})  # nobody works on it here
    load_settings.cache_clear()
    assert capsys.readouterr().out.startswith("queued")


def answer(prompt: str) -> str:
    """Wrong at first, right once its own attempt is shown."""
    if "WHEN:" in prompt:
        return "WHEN: a function of two numbers\nDO: try it on small ones\nAVOID: the wrong sign"
    return RIGHT if "return a - b" in prompt else WRONG


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A person's own: an empty home, and an endpoint in place of the engine."""
    home = tmp_path / "redraft"
    with serving(answer) as url:
        yield {
            **os.environ,
            "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "REDRAFT_HOME": str(home),
            "REDRAFT_CACHE": os.environ.get(
                "REDRAFT_CACHE", str(platformdirs.user_cache_path("redraft", appauthor=False))
            ),
            "REDRAFT_ENDPOINT": url,
        }
    subprocess.run(
        [sys.executable, "-m", "workers.cli.main", "down"], env={**os.environ, "REDRAFT_HOME": str(home)}, check=False
    )
    shutil.rmtree(Home(root=home).postgres_folder().parent, ignore_errors=True)


@pytest.mark.slow  # the other pages' commands are read by the parser
@pytest.mark.timeout(600)  # thirty commands and a stack that starts and stops: minutes on a busy machine
def test_every_command_line_of_the_tutorial_does_what_the_page_says(
    environment: dict[str, str], tmp_path: Path
) -> None:
    script = "set -euo pipefail\n" + "\n".join(blocks(TUTORIAL, "sh"))
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=580, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "budget.iterations: 0 is not allowed" in done.stderr
    # Of the bad input, of the one iteration that was too few, and of the job that was cancelled.
    assert re.findall(r"^exit code (\d)$", done.stdout, re.MULTILINE) == ["2", "3", "4"]
    assert "return a + b" in done.stdout
    assert "<svg" in (tmp_path / "redraft-tutorial" / "report.html").read_text()
    left = subprocess.run(["redraft", "status", "--json"], env=environment, capture_output=True, text=True, check=True)
    assert left.stdout.replace(" ", "").replace("\n", "") == '{"parts":[]}'

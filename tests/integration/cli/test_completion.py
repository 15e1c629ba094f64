"""What real shells offer at TAB: states, strategies, jobs and tags; and that no title of a job becomes a command."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, JobSpec
from tests.terminal import CTRL_U, Terminal, terminal
from workers.cli import completion

pytestmark = pytest.mark.integration
SHELLS = {
    "bash": ("bash --norc --noprofile -i", ""),
    "zsh": ("zsh -f -i", "autoload -Uz compinit; compinit -u; "),
}
PROMPT = "ready> "
Shell = Callable[[str], Terminal]


def put(ada: Database, title: str, *tags: str) -> int:
    check = CheckSpec(name="answer", kind="answer", value=42)
    return submit_jobs(ada, [JobSpec(title=title, problem="p", checks=(check,), tags=tags)])[0].job


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, urls: Any, ada: Database, tmp_path: Path) -> Iterator[Terminal]:
    """A shell that completes `redraft`, by the script that it prints for it."""
    name = str(request.param)
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    argv, before = SHELLS[name]
    programs = Path(sys.executable).parent
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "PS1": PROMPT,
        "INPUTRC": "/dev/null",
        "REDRAFT_HOME": str(tmp_path / "home"),
        "REDRAFT_DATABASE_URL": urls.ada,
    }
    with terminal(argv.split(), environment, columns=120) as opened:
        opened.until(PROMPT)
        opened.send(f'{before}eval "$(env _REDRAFT_COMPLETE=source_{name} redraft)"; echo loa""ded\n')
        opened.until("loaded")
        opened.until(PROMPT) if not opened.text.endswith(PROMPT) else None
        yield opened


def test_the_one_word_that_fits_is_written(shell: Terminal, ada: Database) -> None:
    put(ada, "Merge booked slots", "night:1", "nocturne")
    for typed, completed in (
        ("redraft canc", "redraft cancel"),
        ("redraft ls --state qua", "redraft ls --state quarantined"),
        ("redraft ls --tag noc", "redraft ls --tag nocturne"),
        ("redraft submit --strategy best", "redraft submit --strategy best_of_n"),
        ("redraft fork 1 --strategy clim", "redraft fork 1 --strategy climb"),
    ):
        shell.send(f"{typed}\t")
        shell.until(completed.removeprefix(typed))
        shell.send(f"{CTRL_U}\n")
        shell.until(PROMPT)


def test_jobs_are_offered_and_no_title_is_a_command(shell: Terminal, ada: Database, tmp_path: Path) -> None:
    for number, title in enumerate(HOSTILE):
        put(ada, title.replace("FILE", str(tmp_path / f"ran{number}")))
    shell.send("redraft show \t\t")
    shell.until("12")
    shell.send(f"{CTRL_U}\n")
    shell.until(PROMPT)
    shell.send('echo do""ne\n')
    shell.until("done")
    assert "MarkupError" not in shell.text
    assert not list(tmp_path.glob("ran*"))


HOSTILE = (
    r"\$(touch FILE)",
    r"\`touch FILE\`",
    r"\\\`touch FILE\`",
    "$(touch FILE) `touch FILE`",
    '"; touch FILE; "',
    r"\"; touch FILE; \"",
    "'; touch FILE; '",
    "')) ; touch FILE ; ((",
    "[/bold] [red] [$(touch FILE)]",
    "${(e):-$(touch FILE)}",
    "&& touch FILE #",
    "| touch FILE",
)


def test_a_title_keeps_its_words() -> None:
    assert completion._plain("Merge booked slots (2): a/b, c!") == "Merge booked slots (2): a/b, c!"
    assert completion._plain("«Größe» \\ [x] $1") == "Größe x 1"
    assert completion._plain("\\") == "-"

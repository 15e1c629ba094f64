"""The entry point: help, errors and exit codes, without any service."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.settings import load_settings
from workers.cli.main import COMMANDS, run


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("REDRAFT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("REDRAFT_DATABASE_URL", raising=False)
    load_settings.cache_clear()
    yield tmp_path / "home"
    load_settings.cache_clear()


def _redraft(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workers.cli.main", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_help_lists_every_command_and_imports_none_of_them() -> None:
    code = (
        "import sys; from workers.cli.main import run; run(['--help'])\n"
        "heavy = {'rich', 'pydantic', 'sqlalchemy', 'psycopg', 'celery', 'yaml', 'tasks.settings'}\n"
        "spare = {'workers.cli.main', 'workers.cli.defaults'}\n"
        "ours = {m for m in sys.modules if m.startswith('workers.cli.')} - spare\n"
        "print(sorted(ours | heavy & set(sys.modules)), file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stderr.strip() == "[]"
    for name in COMMANDS:
        assert f"\n  {name} " in said.stdout


@pytest.mark.parametrize("name", [name for name, entry in COMMANDS.items() if importlib.util.find_spec(entry.module)])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"Usage: redraft {name}")
    assert said.err == ""


@pytest.mark.parametrize(
    ("arguments", "brings"),
    [
        (["ls"], "psycopg"),
        (["show", "1"], "sqlalchemy"),
        (["status"], "psutil"),
        (["down"], "psutil"),
        (["alive"], "psycopg"),
    ],
)
def test_what_people_look_at_often_imports_little(
    arguments: list[str], brings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAFT_DATABASE_URL", "postgres://ada:hush@127.0.0.1:1/none")
    heavy = {"sqlalchemy", "pydantic_settings", "celery", "yaml", "regex", "tornado", "tenacity", "httpx2", "openai"}
    code = (
        f"import sys; from workers.cli.main import run; run({arguments!r})\n"
        f"print(sorted({heavy - {brings}!r} & set(sys.modules)), {brings!r} in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[] True"


@pytest.mark.parametrize("arguments", [["ls"], ["ls", "--json"], ["watch"], ["status"], ["down"], ["alive"]])
def test_what_nobody_gave_is_not_checked_by_a_library_that_takes_long_to_import(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAFT_DATABASE_URL", "postgres://ada:hush@127.0.0.1:1/none")
    slow = {"pydantic", *({"rich"} if arguments[0] in ("status", "down") or arguments == ["ls"] else ())}
    code = (
        f"import sys; from workers.cli.main import run; run({arguments!r})\n"
        f"print(sorted({slow!r} & set(sys.modules)), file=sys.stderr)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stderr.splitlines()[-1] == "[]"


def test_each_fault_of_an_input_is_a_line_until_there_are_too_many_to_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for count, lines, last in ((3, 3, "jobs.jsonl line 3"), (1_120, 101, "and 1,020 more faults\n")):
        (tmp_path / "jobs.jsonl").write_text('{"problem": "P"}\n' * count)
        assert run(["submit", str(tmp_path / "jobs.jsonl")]) == 2
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", lines)
        assert last in said.err.splitlines(keepends=True)[-1]


def test_each_flag_that_cannot_be_read_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["submit", "-", "--check", "python", "--hidden-check", "x:[", "--budget", "usd"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0].partition(" ")[0] for line in lines] == ["--check", "--hidden-check", "--budget"]


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Commands:" in capsys.readouterr().out


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("redraft 0.")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["sumbit"], "there is no command 'sumbit'; did you mean 'submit'?"),
        (["--none"], "No such option: --none"),
        (["submit"], "Missing argument 'FILE...'"),
        (["show", "seven"], "Invalid value for 'JOB'"),
        (["show", "0"], "greater than or equal to 1"),
        (["wait", str(2**63)], "less than or equal to"),
        (["wait", "1", "--timeout", "nan"], "Invalid value for '--timeout'"),
        (["ls", "--limit", "0"], "greater than or equal to 1"),
        (["ls", "--state", "done"], "--state: 'done' is not allowed; one of queued, running"),
        (["fork", "1"], "Missing option '--from'"),
        (["diff", "1", "2"], "Missing argument 'M'"),
        (["cost", "--by", "week"], "--by: 'week' is not allowed; one of job, owner, model, day"),
        (["db"], "Missing command"),
        (["submit", "none.md"], "FILE: 'none.md' is not allowed; it cannot be read: No such file"),
        (["submit", "-", "--budget", "usd"], "--budget: 'usd' is not allowed; NAME=NUMBER"),
        (["submit", "-", "--check", "python"], "--check: 'python' is not allowed; KIND:VALUE"),
    ],
)
def test_a_wrong_command_line_gets_one_line_and_exit_2(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert expected in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("arguments", [["ls"], ["show", "1"], ["watch"], ["cancel", "1"], ["sql", "SELECT 1"]])
def test_without_a_stack_one_line_says_how_to_start_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 1
    said = capsys.readouterr()
    assert said.err == "no stack is running; start one with `redraft up`, or set REDRAFT_DATABASE_URL\n"
    assert said.out == ""


def test_a_database_that_is_away_is_told_in_one_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDRAFT_DATABASE_URL", "postgresql+psycopg://me:hush@127.0.0.1:1/redraft")
    assert run(["ls"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Postgres did not answer")
    assert said.count("\n") == 1
    assert "hush" not in said


def test_a_setting_that_is_not_allowed_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDRAFT_LEASE_SECONDS", "-1")
    assert run(["up"]) == 2
    assert capsys.readouterr().err.startswith("setting lease_seconds: '-1' is not allowed")


def test_an_error_of_ours_leaves_its_traceback_in_a_file(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_home / "run").mkdir(parents=True)
    (own_home / "run" / "stack.json").write_text("{")  # nobody but Redraft writes there, and in one step
    assert run(["ls"]) == 1
    said = capsys.readouterr().err
    log = own_home / "log" / "redraft-cli.log"
    assert said.count("\n") == 1
    assert str(log) in said
    assert "Traceback" in log.read_text()


def test_a_reader_that_leaves_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli.main", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    process.wait(timeout=60)
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_disk_that_is_full_and_a_closed_output_are_no_errors_of_redraft() -> None:
    for arguments, stream, code, says in (
        ("--help", "> /dev/full", 1, "standard output: No space left on device\n"),
        ("doctor --json", "> /dev/full", 1, "standard output: No space left on device\n"),
        ("--help", ">&-", 0, ""),
        ("--help", "<&- 2>&-", 0, ""),
    ):
        line = f"{sys.executable} -m workers.cli.main {arguments} {stream}"
        said = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
        assert (said.returncode, said.stderr) == (code, says), line


def test_a_home_that_cannot_be_written_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "home").write_text("a file")
    assert run(["up", "--endpoint", "http://127.0.0.1:1"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("setting home: ")
    assert "a folder that can be written (" in said[-1]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("redraft ls --state q", ["queued", "quarantined"]),
        ("redraft submit --strategy best", ["best_of_n"]),
        ("redraft show ", []),
        ("redraft ls --tag x", []),
    ],
)
def test_the_shell_completes_states_and_strategies_and_is_quiet_where_there_is_no_database(
    words: str, offered: list[str]
) -> None:
    environment = {"_REDRAFT_COMPLETE": "complete_bash", "COMP_CWORD": str(words.count(" "))}
    said = subprocess.run(
        [sys.executable, "-c", "from workers.cli.main import main; main()"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment, "COMP_WORDS": words},
        check=False,
    )
    assert (said.stdout.split(), said.stderr) == (offered, "")


def test_the_shell_completes_commands_and_options() -> None:
    environment = {"_REDRAFT_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    said = subprocess.run(
        [sys.executable, "-c", "from workers.cli.main import main; main()"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment, "COMP_WORDS": "redraft s"},
        check=False,
    )
    assert said.stdout.split() == ["status", "submit", "show", "sql", "sandbox"]

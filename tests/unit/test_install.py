"""The installation that `make` begins with: what it shows, and what it takes for an environment."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

OPS = Path(__file__).parents[2] / "ops"


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("install")


def test_an_environment_without_pip_is_half_of_one(install: ModuleType, tmp_path: Path) -> None:
    assert not install._has_pip(tmp_path / "bin" / "python")
    half = tmp_path / "python"
    half.write_text("#!/bin/sh\nexit 1\n")
    half.chmod(0o755)
    assert not install._has_pip(half)
    assert install._has_pip(Path(sys.executable))


def test_a_step_that_fails_shows_the_end_of_what_it_said(
    install: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = "for n in range(100): print('line', n)\nraise SystemExit(3)"
    with pytest.raises(install.StepFailed) as failed:
        install._run([sys.executable, "-c", talk], "talking")
    said = str(failed.value)
    assert said.startswith("talking failed (3):\nline 85\n")
    assert said.endswith("line 99\n")
    assert capsys.readouterr().out == "", "a step that goes well, or fails, writes nothing itself"


def test_without_a_terminal_pips_lines_are_not_shown(install: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["Collecting celery\n", "Collecting redis\n", "Installing collected packages: celery, redis\n"]
    assert list(install._shown(lines, 2)) == lines
    assert capsys.readouterr().out == ""


def test_uv_takes_the_index_and_the_certificates_that_pip_is_told_of(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = tmp_path / "python"
    pip.write_text(
        '#!/bin/sh\nprintf "%s\\n" "global.index-url=\'https://index.example/simple\'" "global.timeout=\'9\'"\n'
    )
    pip.chmod(0o755)
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    told = install._settings_of_uv(pip)
    assert told["UV_DEFAULT_INDEX"] == "https://index.example/simple"
    assert told["PATH"], "and it sees the rest of the environment"
    assert "UV_TIMEOUT" not in told
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine.example/simple")
    assert install._settings_of_uv(pip)["UV_DEFAULT_INDEX"] == "https://mine.example/simple"


def test_where_uv_fails_pip_installs_the_packages(
    install: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps: list[str] = []

    def run(command: list[str], what: str, *_: object, **__: object) -> None:
        steps.append(what)
        if "by uv" in what:
            raise install.StepFailed("no index")

    monkeypatch.setattr(install, "_run", run)
    install._build(tmp_path, Path(sys.executable))
    assert steps == ["installing uv", "installing the packages by uv", "installing the packages", "installing Redraft"]
    assert "no index" in capsys.readouterr().err

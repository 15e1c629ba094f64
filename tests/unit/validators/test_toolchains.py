"""Which toolchains of the system a check can use, and what brings one that is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tasks.dryruns import check_runtimes
from tasks.errors import InvalidInput, SandboxUnavailable
from tasks.types import CheckSpec
from tasks.validators import toolchains
from tasks.validators.command import CommandValidator
from tasks.validators.toolchains import Toolchain


def toolchain(program: str) -> Toolchain:
    return Toolchain(name="odd", program=program, packages={"apt": "odd-lang"})


def test_a_program_of_the_system_is_there_with_its_version():
    shell = Toolchain(name="shell", program="sh", version=("-c", "echo sh 1.2"), packages={"apt": "dash"})
    assert shell.path is not None
    assert shell.describe() == "sh 1.2"


def test_one_that_is_nowhere_names_its_package():
    assert toolchain("no-such-program").path is None
    assert toolchain("no-such-program").advice == "apt install odd-lang"


def test_one_that_only_a_user_has_is_missing_and_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    own = tmp_path / "oddc"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert toolchain("oddc").path is None
    assert toolchain("oddc").advice == f"apt install odd-lang ({own} is where the sandbox has no programs)"


def test_a_runtime_that_is_missing_is_refused_at_submission_with_its_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(toolchains.TOOLCHAINS, "odd", toolchain("oddc"))
    check = CheckSpec(name="command", kind="command", value=["sh", "-c", "oddc x"], runtime="odd")
    with pytest.raises(InvalidInput, match="oddc on this machine: apt install odd-lang") as refused:
        check_runtimes([("p.md: checks[0]", check)], ["numpy"])
    assert refused.value.field == "p.md: checks[0].runtime"
    with pytest.raises(SandboxUnavailable, match="apt install odd-lang"):
        toolchains.require("odd")


def test_a_compiler_that_is_missing_is_refused_as_a_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(toolchains.TOOLCHAINS, "odd", toolchain("oddc"))
    with pytest.raises(InvalidInput, match="oddc is missing: apt install odd-lang"):
        CommandValidator().parse(["oddc", "{candidate}"], tmp_path)


def test_what_is_available_can_be_required():
    for name in toolchains.available():
        toolchains.require(name)
        assert shutil.which(toolchains.TOOLCHAINS[name].program, path=toolchains.SYSTEM)

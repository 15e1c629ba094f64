"""What a person is told before and while an engine is downloaded."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tasks.errors import PartFailed
from tasks.settings import Settings
from workers.cli.fetching import fetch_engine, require_memory
from workers.engine.choice import choose
from workers.engine.hardware import Hardware, imagine
from workers.engine.profiles import WeightsSource, load_profiles


def test_too_little_free_memory_is_said_with_the_numbers(tmp_path: Path) -> None:
    choice = choose("qwen2.5-coder-1.5b", imagine([], "avx2:8:16"), load_profiles(tmp_path))
    require_memory(choice, Hardware(ram_gib=16, available_gib=math.inf))
    with pytest.raises(
        PartFailed, match=r"qwen2\.5-coder-1\.5b-q4 needs 2\.4 GiB of memory, and 1\.5 of 16\.0 GiB are"
    ):
        require_memory(choice, Hardware(ram_gib=16, available_gib=1.5))


def test_nothing_is_said_where_nothing_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = load_profiles(tmp_path)["smollm2-135m-q4"]
    own = profile.model_copy(update={"weights": WeightsSource(path=str(tmp_path / "x.gguf"), sha256="0" * 64)})
    choice = choose("smollm2-135m-q4", imagine([], "avx2:2:24"), {own.name: own})
    server = tmp_path / "llama-server"
    server.touch(mode=0o755)
    fetch_engine(Settings(home=tmp_path, cache=tmp_path / "cache", llama_server=server), choice)
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "cache").exists()

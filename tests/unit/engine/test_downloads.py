"""What is still to download for a choice, and how much of it has arrived."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tasks.errors import PartFailed
from workers.engine import environment
from workers.engine.choice import choose
from workers.engine.downloads import Arrivals, missing, require_room
from workers.engine.hardware import imagine
from workers.engine.placement import Choice
from workers.engine.profiles import Profile, WeightsSource
from workers.engine.weights import GGUF, ensure_gguf, weights_folder


@pytest.fixture
def choice(profiles: dict[str, Profile]) -> Choice:
    """Of a processor without kernels for bf16."""
    return choose("smollm2-135m", imagine([], "avx2:2:24"), profiles)


def build(choice: Choice, cache: Path) -> None:
    """An environment as one that was built looks from outside."""
    folder = environment.environment_folder(choice.profile.distribution, cache)
    (folder / "bin").mkdir(parents=True)
    for name in ("bin/python", ".complete"):
        (folder / name).touch()


def test_only_what_is_not_there_is_downloaded(choice: Choice, tmp_path: Path) -> None:
    words = [download.words for download in missing(choice, tmp_path, installed=False)]
    assert words == ["llama.cpp: 33 MB", "smollm2-135m-q4: 93 MB"]
    assert [one.what for one in missing(choice, tmp_path, installed=True)] == ["smollm2-135m-q4"]
    build(choice, tmp_path)
    assert [one.what for one in missing(choice, tmp_path, installed=False)] == ["smollm2-135m-q4"]
    folder = weights_folder(choice.profile, tmp_path)
    folder.mkdir()
    (folder / GGUF).touch()
    assert missing(choice, tmp_path, installed=False) == []


def test_weights_of_the_user_s_own_are_not_downloaded(choice: Choice, tmp_path: Path) -> None:
    local = choice.profile.model_copy(update={"weights": WeightsSource(path="/models/mine.gguf", sha256="0" * 64)})
    assert missing(dataclasses.replace(choice, profile=local), tmp_path, installed=True) == []


def test_a_gguf_of_the_hub_has_a_folder_of_its_own_and_is_counted_by_its_size(
    profiles: dict[str, Profile], tmp_path: Path
) -> None:
    choice = choose("gemma-4-31b-q4", imagine(["24:8.6"]), profiles)
    (download,) = missing(choice, tmp_path, installed=True)
    assert download.words == "gemma-4-31b-q4: 18,823 MB"
    assert download.arriving == tmp_path / "gguf-unsloth-gemma-4-31B-it-GGUF-UD-Q4-K-XL.part"


def test_too_little_disk_for_all_of_it_is_said_at_once(choice: Choice, tmp_path: Path) -> None:
    downloads = missing(choice, tmp_path, installed=False)
    require_room(downloads)
    huge = [dataclasses.replace(download, disk_gib=5e5) for download in downloads]
    with pytest.raises(PartFailed, match=r"llama\.cpp and smollm2-135m-q4 needs? 1000000\.0 GiB of disk"):
        require_room(huge)


def test_what_arrives_counts_once_though_it_is_unpacked_and_deleted(choice: Choice, tmp_path: Path) -> None:
    downloads = missing(choice, tmp_path, installed=False)
    arrivals = Arrivals(downloads)
    coming = downloads[0].arriving / "pip-unpack-x" / "a.whl"
    coming.parent.mkdir(parents=True)
    coming.write_bytes(b"x" * 1000)
    (downloads[0].arriving / "pip-copy").write_bytes(b"x" * 1000)  # pip's cache writes the same bytes beside it
    assert arrivals.count() == 1000
    coming.unlink()
    assert arrivals.count() == 1000
    coming.with_name("b.whl").write_bytes(b"x" * 500)
    assert arrivals.count() == 1500


def test_a_name_in_the_hub_without_its_quantization_is_no_gguf(choice: Choice, tmp_path: Path) -> None:
    profile = choice.profile.model_copy(update={"weights": WeightsSource(hub="somebody/some-model")})
    with pytest.raises(PartFailed, match=r"llama\.cpp needs a GGUF, by wheels, path, or hub with `:QUANTIZATION`"):
        ensure_gguf(profile, tmp_path, lambda line: None)

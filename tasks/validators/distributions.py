"""Copies distributions that are installed here, without pip and the network. Must not know what they are for."""

from __future__ import annotations

import re
import shutil
from importlib import metadata
from pathlib import Path


def copy_distributions(target: Path, names: tuple[str, ...]) -> None:
    """Copies installed distributions and what they require into `target`, a folder for `sys.path`."""
    for name in sorted(with_requirements(names)):
        copy_files(target, name)


def with_requirements(names: tuple[str, ...]) -> set[str]:
    """`names` and the installed distributions that they require, extras left out."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for requirement in metadata.requires(name) or ():
            required = re.match(r"[\w.-]+", requirement)
            if required and "extra ==" not in requirement and installed_version(required[0]):
                waiting.append(required[0].lower())
    return found


def modules_of(names: tuple[str, ...]) -> frozenset[str]:
    """What `names` and their requirements let a program import, by the first part of its name."""
    files = [entry for name in with_requirements(names) for entry in metadata.files(name) or ()]
    return frozenset(
        entry.parts[0].removesuffix(".py") for entry in files if entry.suffix == ".py" and ".." not in entry.parts
    )


def installed_version(name: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def copy_files(target: Path, name: str) -> int:
    """Copies an installed distribution's files but its scripts and its own tests; how many there were."""
    copied = 0
    for entry in metadata.files(name) or ():
        if ".." in entry.parts or "tests" in entry.parts or entry.suffix == ".pyc":
            continue
        source = Path(str(entry.locate()))
        if source.is_file():
            (target / entry).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / entry)
            copied += 1
    return copied

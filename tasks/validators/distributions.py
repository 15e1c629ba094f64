"""Copies installed distributions, without pip and the network. Must not know what they are for."""

from __future__ import annotations

import re
import shutil
from importlib import metadata
from pathlib import Path


def copy_distributions(target: Path, names: tuple[str, ...]) -> None:
    """Copies installed distributions and their requirements into `target`, a folder for `sys.path`."""
    for name in sorted(with_requirements(names)):
        copy_files(target, name)


def with_requirements(names: tuple[str, ...]) -> set[str]:
    """`names` and the installed distributions that they require, extras left out."""
    resolved: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in resolved:
            continue
        resolved.add(name)
        for requirement in metadata.requires(name) or ():
            match = re.match(r"[\w.-]+", requirement)
            if match and "extra ==" not in requirement and installed_version(match[0]):
                pending.append(match[0].lower())
    return resolved


def modules_of(names: tuple[str, ...]) -> frozenset[str]:
    """The top-level modules that a program can import from `names` and their requirements."""
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
    """Copies an installed distribution's files except its scripts and tests; returns how many were copied."""
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

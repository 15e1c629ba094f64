"""Ordinary texts that are on every machine with Python: sources, manuals, licences and data files.

They are read where they lie and are no part of this repository. Which files are taken, and which stretch of each,
is a function of the seed and of the files' paths below their root; another machine has other packages, so figures
are comparable within one machine.
"""

from __future__ import annotations

import functools
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from tests.corpus.samples import Sample, seeded

# As long as an answer of 4,096 tokens gets.
STRETCH_CHARS = 16_000
LEAST_CHARS = 400
MOST_BYTES = 4_000_000
KINDS = {
    ".py": "python",
    ".pyi": "python",
    ".c": "c",
    ".h": "c",
    ".hpp": "c",
    ".f": "fortran",
    ".f90": "fortran",
    ".js": "javascript",
    ".pl": "perl",
    ".pm": "perl",
    ".sh": "shell",
    ".sql": "sql",
    ".cmake": "cmake",
    ".css": "css",
    ".html": "html",
    ".xml": "xml",
    ".svg": "xml",
    ".md": "prose",
    ".rst": "prose",
    ".txt": "prose",
    "": "prose",
    ".json": "json",
    ".csv": "csv",
    ".toml": "settings",
    ".yaml": "settings",
    ".yml": "settings",
    ".cfg": "settings",
    ".conf": "settings",
    ".po": "translations",
    ".tex": "latex",
}
# What is there by accident of an installation, not written by anybody: hashes of installed files, compiled data.
SKIPPED = frozenset({"RECORD", "WHEEL", "INSTALLER", "REQUESTED", "__pycache__"})


def ordinary(count: int, seed: int = 0) -> Iterator[Sample]:
    """Up to `count` stretches of text of this machine, spread over the kinds. Of files with one name, which are often
    versions of one text, a single one is taken: the samples count as independent."""
    by_kind = _files()
    queues = [iter(sorted(files, key=lambda file: seeded(seed, file[0]))) for _, files in sorted(by_kind.items())]
    kinds = sorted(by_kind)
    taken: set[str] = set()
    file_names: set[str] = set()
    while queues and len(taken) < count:
        for kind, queue in list(zip(kinds, queues, strict=True)):
            for name, path in queue:
                sample = _stretch(name, kind, path, seed) if path.name not in file_names else None
                if sample is not None and sample.text not in taken:
                    taken.add(sample.text)
                    file_names.add(path.name)
                    yield sample
                    break
            else:
                at = queues.index(queue)
                del queues[at], kinds[at]
            if len(taken) >= count:
                return


@functools.cache
def _files() -> dict[str, list[tuple[str, Path]]]:
    """The candidates of each kind, by their name below a root that is named, not spelled out."""
    paths = sysconfig.get_paths()
    roots = {
        "stdlib": Path(paths["stdlib"]),
        "packages": Path(paths["purelib"]),
        "include": Path("/usr/include"),
        "share": Path("/usr/share"),
    }
    found: dict[str, list[tuple[str, Path]]] = {}
    for root_name, root in roots.items():
        for folder, folders, names in root.walk() if hasattr(root, "walk") else _walk(root):
            folders[:] = sorted(f for f in folders if f not in SKIPPED and f != "site-packages")
            for name in names:
                path = folder / name
                kind = KINDS.get(path.suffix.lower())
                if kind is not None and name not in SKIPPED:
                    below = f"{root_name}/{path.relative_to(root).as_posix()}"
                    found.setdefault(kind, []).append((below, path))
    return found


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """`Path.walk` for Python 3.11."""
    import os

    for folder, folders, names in os.walk(root):
        yield Path(folder), folders, names


def _stretch(name: str, kind: str, path: Path, seed: int) -> Sample | None:
    """A stretch of the file from the beginning of some line on; None where it is no text or too short."""
    try:
        if path.is_symlink() or not LEAST_CHARS <= path.stat().st_size <= MOST_BYTES:
            return None
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if "\0" in text:
        return None
    spare = len(text) - STRETCH_CHARS
    start = text.find("\n", seeded(seed + 1, name) % spare) + 1 if spare > 0 else 0
    text = text[start : start + STRETCH_CHARS]
    return Sample(name=name, kind=kind, text=text) if len(text) >= LEAST_CHARS else None

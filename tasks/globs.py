"""Globs of files below a folder: `*` and `?` stand for what is within one name, `**` for any number of folders. Pure;
must not know the disk. The time is bounded for any name, since models write names."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

MAGIC = frozenset("*?[")


def matches(name: str, pattern: str) -> bool:
    """Whether the path `name`, such as `src/a.py`, matches a glob; `src/**` stands for all files below `src`."""
    parts, wanted = name.split("/"), pattern.split("/")
    matched = {0}  # how many of the parts the pattern so far can stand for
    for number, want in enumerate(wanted):
        if want == "**":
            fewest = min(matched) + (number == len(wanted) - 1)
            matched = set(range(fewest, len(parts) + 1))
        else:
            matched = {count + 1 for count in matched if count < len(parts) and fnmatchcase(parts[count], want)}
        if not matched:
            return False
    return len(parts) in matched


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Whether a path matches one of the globs."""
    return any(matches(name, pattern) for pattern in patterns)


def fixed_folder(pattern: str) -> str:
    """The folder with which a glob begins: `src/lib` of `src/lib/*.c`; empty where that is the whole folder."""
    parts = pattern.split("/")[:-1]
    plain = next((number for number, part in enumerate(parts) if not MAGIC.isdisjoint(part)), len(parts))
    return "/".join(parts[:plain])

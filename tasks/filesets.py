"""Reads the files that a job is about (`files`, `read_only`) out of the job's folder, or gives one clear line.

Where a file may lie is `tasks.jobfolder`'s to say. Must not know the database, the checks or the models.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from tasks.edits import FILES, FILES_BYTES
from tasks.errors import InvalidInput
from tasks.faults import Faults
from tasks.globs import MAGIC, fixed_folder, matches_any
from tasks.jobfolder import is_inside, locate, read
from tasks.types import FileSet

FILE_BYTES = 1_000_000
PATTERNS = 50
# Entries of the folder that are looked at: more are somebody's home, or a build's output.
ENTRIES = 50_000
_BYTE_CODE = (".pyc", ".pyo")


def read_files(
    folder: Path, files: Sequence[str], read_only: Sequence[str], *, without: Collection[str] = ()
) -> FileSet:
    """The text files below `folder` that the globs match, but hidden ones, byte code and those named in `without`. A
    file of both lists is read-only. Raises `InvalidInput`."""
    if read_only and not files:
        raise InvalidInput("read_only", read_only[0], "given beside `files`, which says what an answer may change")
    faults = Faults()
    patterns = _patterns("files", folder, files, faults)
    fixed = _patterns("read_only", folder, read_only, faults)
    faults.refuse()
    names = sorted(set(_names(folder, [*patterns, *fixed])) - set(without))
    for written, pattern in zip(read_only, fixed, strict=True):
        if not any(matches_any(name, (pattern,)) for name in names):
            faults.add(InvalidInput("read_only", written, f"a glob that matches a file of {folder}"))
    if len(names) > FILES:
        raise InvalidInput("files", f"{len(names):,} files", f"at most {FILES}; narrower globs match fewer")
    texts: dict[str, str] = {}
    for name in names:
        with faults.gather():
            texts[name] = _text(folder, name, "read_only" if matches_any(name, fixed) else "files")
    faults.refuse()
    if sum(len(text.encode()) for text in texts.values()) > FILES_BYTES:
        raise InvalidInput("files", f"{len(names):,} files", f"at most {FILES_BYTES:,} bytes together")
    return FileSet(
        patterns=tuple(patterns),
        fixed=(*fixed, *without) if patterns else (),
        writable={name: text for name, text in texts.items() if not matches_any(name, fixed)},
        read_only={name: text for name, text in texts.items() if matches_any(name, fixed)},
    )


def _patterns(field: str, folder: Path, globs: Sequence[str], faults: Faults) -> list[str]:
    """The globs that are allowed as `_pattern` gives them; the others are kept in `faults`."""
    patterns = []
    for written in globs:
        with faults.gather():
            patterns.append(_pattern(field, folder, written))
    return patterns


def _pattern(field: str, folder: Path, written: str) -> str:
    """The glob as the files' names are compared with it; a folder's name stands for all that is in it."""
    if not written.strip() or "\\" in written or not is_inside(written):
        raise InvalidInput(field, written, "globs such as src/** or *.py, relative to the job's folder and within it")
    pattern = os.path.normpath(written)
    if any(part.startswith(".") and part != "." for part in pattern.split("/")):
        raise InvalidInput(field, written, "globs of files that are not hidden")
    if MAGIC.isdisjoint(pattern) and (folder / pattern).is_dir():
        return "**" if pattern == "." else f"{pattern}/**"
    return pattern


def _names(folder: Path, patterns: Sequence[str]) -> Iterator[str]:
    """The files that the globs match. Raises `InvalidInput` for a link among them."""
    seen = 0
    for base in dict.fromkeys(map(fixed_folder, patterns)):
        for name, entry in _walk(folder, base):
            seen += 1
            if seen > ENTRIES:
                raise InvalidInput("files", ", ".join(patterns), f"globs below a folder of at most {ENTRIES:,} entries")
            if not matches_any(name, patterns):
                continue
            if entry.is_symlink():
                raise InvalidInput("files", name, "regular files; this is a link")
            if not entry.is_file(follow_symlinks=False):
                raise InvalidInput("files", name, "regular files; a pipe or a device does not do")
            yield name


def _walk(folder: Path, base: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every entry below `base` but folders, hidden ones and byte code; links are not followed."""
    if any((folder / part).is_symlink() for part in [base, *map(str, PurePosixPath(base).parents)] if part):
        raise InvalidInput("files", base, "folders within the job's; this one is reached by a link")
    try:
        with os.scandir(folder / base) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return  # a folder that is not there yet: the answer may make it
    for entry in entries:
        name = f"{base}/{entry.name}" if base else entry.name
        if entry.name.startswith(".") or entry.name == "__pycache__" or entry.name.endswith(_BYTE_CODE):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, name)
        else:
            yield name, entry


def _text(folder: Path, name: str, field: str) -> str:
    try:
        content = read(folder, locate(folder, name), FILE_BYTES)
    except ValueError as error:
        raise InvalidInput(field, name, str(error)) from None
    if len(content) > FILE_BYTES:
        raise InvalidInput(field, name, f"files of at most {FILE_BYTES:,} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise InvalidInput(field, name, "text files in UTF-8; this is none, so narrow the globs") from None
    if "\0" in text:
        raise InvalidInput(field, name, "text files; this one is binary, so narrow the globs")
    return text

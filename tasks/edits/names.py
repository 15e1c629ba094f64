"""The name of the file that a block of an answer is: on its fence, on the line before it, or in its first line. Pure;
must not know which files there are."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable

from tasks.edits.blocks import EditError

NAME_CHARS = 200
# A line that names a file is short; patterns take quadratic time on some long ones.
LINE_CHARS = 500
_KEYED = re.compile(r"\b(?:title|path|file|filename|name)\s*[=:]\s*[\"']?([^\s\"'}]+)", re.IGNORECASE)
_LEAD = re.compile(
    r"[ \t]*(?:[#>*+-]+[ \t]+|\d{1,2}[.)][ \t]+)*(?:[*_`]*(?:file|filename|path)[*_`]*[ \t]*:[ \t]*)?", re.I
)
_TICKED = re.compile(r"`([^`\s]+)`")
_COMMENT = re.compile(
    r"[ \t]*(?:#|//|--|;|%|/\*|<!--)[ \t]*(?:file[ \t]*:[ \t]*)?(\S+?)[ \t]*(?:\*/|-->)?[ \t]*", re.IGNORECASE
)
_SUFFIX = re.compile(r"[^./][^/]*\.[A-Za-z]\w{0,9}|Makefile|Dockerfile|\.\w[\w.]*")
# What follows a sentence in one of these is how the file is run, or what it prints.
_TRANSCRIPTS = frozenset({"bash", "console", "output", "plaintext", "sh", "shell", "text"})


def name_on_fence(label: str) -> str | None:
    """The name in the text after a fence: ```` ```python src/a.py ````, ```` ```src/a.py ````, `python:src/a.py`,
    `title="src/a.py"`."""
    if len(label) > LINE_CHARS:
        return None
    if match := _KEYED.search(label):
        return match[1]
    for word in label.split():
        for part in (word.partition(":")[2], word):
            name = part.strip("`\"'{}(),;")
            if _is_path(name) and not re.fullmatch(r"\.\w+", name):
                return name
    return None


def name_on_line(line: str) -> str | None:
    """The name where it is all that a line says: `src/a.py`, **src/a.py**, `### File: src/a.py`."""
    if len(line) > LINE_CHARS:
        return None
    name = _LEAD.sub("", line, count=1).strip().strip("*_`\"'").removesuffix(":").strip("*_`\"'").strip()
    return name if _is_path(name) and not re.search(r"\s", name) else None


def name_in_sentence(line: str, info: str, is_writable: Callable[[str], bool]) -> str | None:
    """The one writable file that a sentence before a fence names in backticks, unless its block shows a shell."""
    if info in _TRANSCRIPTS or len(line) > LINE_CHARS:
        return None
    names = {name for name in _TICKED.findall(line) if _is_path(name) and is_writable(os.path.normpath(name))}
    return names.pop() if len(names) == 1 else None


def name_in_comment(content: str, is_writable: Callable[[str], bool]) -> str | None:
    """The writable file that the first line of a block names as a comment: `# src/a.py`, `// src/a.py`."""
    line = content.partition("\n")[0]
    match = _COMMENT.fullmatch(line) if len(line) <= LINE_CHARS else None
    name = match[1].removesuffix(":") if match else ""
    return name if name and _is_path(name) and is_writable(os.path.normpath(name)) else None


def normal(name: str) -> str:
    """A name as the files of a job have it, such as `src/a.py` for `./src/a.py`.

    Raises `EditError` for one that leads out of the job's folder, is hidden, or no plain name.
    """
    shown = repr(name[:NAME_CHARS])
    if not name or len(name) > NAME_CHARS or not name.isprintable() or "\\" in name:
        raise EditError(f"{shown} is no name of a file.")
    if name.startswith(("/", "~")) or ".." in name.split("/"):
        raise EditError(f"{shown} leads out of the folder; name a file relative to it.")
    plain = os.path.normpath(name)
    if plain == "." or name.endswith("/"):
        raise EditError(f"{shown} is a folder, no file.")
    if any(part.startswith(".") for part in plain.split("/")):
        raise EditError(f"{shown} is hidden; hidden files are never written.")
    return plain


def _is_path(name: str) -> bool:
    last = name.rpartition("/")[2]
    return bool(last) and "://" not in name and _SUFFIX.fullmatch(last) is not None

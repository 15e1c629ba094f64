"""`redraft guard`: looks for endless repetition in finished texts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tasks.errors import InvalidInput
from workers.cli import output

app = typer.Typer(help="Look for endless repetition in texts.")


@app.callback()
def guard() -> None:
    """Look for endless repetition in texts."""


@app.command()
def scan(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="UTF-8 texts; - is standard input.")],
    as_json: output.Json = False,
) -> None:
    """Say whether each file loops, and where the first copy begins. --json: one object per file."""
    from tasks.llm import guard as net

    texts = [(name, _read(name)) for name in files]
    rows: list[list[str]] = []
    for name, text in texts:
        hit = net.scan(text)
        row = {
            "file": name,
            "degenerate": hit is not None,
            "kind": str(hit.kind) if hit else None,
            "at_char": hit.at_char if hit else None,
            "copies": hit.copies if hit else None,
        }
        if as_json:
            output.emit_line(row)
        rows.append([name, f"{hit.kind} at character {hit.at_char}, {hit.copies} copies" if hit else "fine"])
    if not as_json:
        output.table(["file", "found"], rows)


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.buffer.read().decode("utf-8", errors="replace")
    try:
        return Path(name).read_bytes().decode("utf-8", errors="replace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput("FILE", name, f"a text file that can be read, or - ({reason})") from error

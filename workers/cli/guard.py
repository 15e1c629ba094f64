"""`redraft guard scan`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tasks.errors import InvalidInput
from tasks.llm.guard import scan as find
from workers.cli.output import Json, emit_line, printable

app = typer.Typer(help="Look for endless repetition in texts.", rich_markup_mode=None)


@app.callback()
def root() -> None:
    """Look for endless repetition in texts."""


@app.command()
def scan(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Texts to look at; - is standard input.")],
    as_json: Json = False,
) -> None:
    """Say of each text whether it falls into a loop, and where."""
    for name, text in [(name, _read(name)) for name in files]:
        hit = find(text)
        if as_json:
            found = {"kind": str(hit.kind), "at_char": hit.at_char, "copies": hit.copies} if hit else {}
            emit_line(
                {
                    "file": name,
                    "degenerate": hit is not None,
                    **{"kind": None, "at_char": None, "copies": None, **found},
                }
            )
        else:
            say = f"{hit.kind} at character {hit.at_char}, {hit.copies} copies" if hit else "ok"
            print(f"{printable(name)}: {say}")


def _read(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode()
    except OSError as error:
        raise InvalidInput("FILE", name, f"it must be a readable file ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InvalidInput("FILE", name, "it must be UTF-8 text") from None

"""Writes `ops/docs/commands.md`: the help of every command, as `redraft … --help` prints it (`make docs`).

Knows the command line's tree and nothing of what the commands do. A test compares the file with `page()`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from typer.main import get_command

from workers.cli.main import app

PAGE = Path(__file__).parent / "docs" / "commands.md"
# Of a line of help: a terminal's default is 80, where options and their texts wrap too often to be read.
WIDTH = 100
INTRODUCTION = """# Commands

Written by `make docs` out of `redraft … --help`; do not edit it by hand. Every command takes `--help`, and every
command that prints data takes `--json`: one document on standard output, or one object a line.

| exit code | meaning |
|---|---|
| 0 | done; for `wait`, `result`, `submit --wait` and `demo`: accepted |
| 1 | a fault of Redraft or of a service, explained in one line |
| 2 | bad input; nothing was stored |
| 3 | finished without an accepted answer |
| 4 | cancelled |
| 5 | not finished within the time-out |

Settings come from flags, then `REDRAFT_*` variables, then `$REDRAFT_HOME/redraft.toml`, then defaults:
[all settings](operations.md#settings).
"""


def page() -> str:
    """The whole page."""
    sections = (f"## {name}\n\n```text\n{text}\n```\n" for name, text in _helps(get_command(app), ("redraft",), None))
    return "\n".join((INTRODUCTION, *sections))


def _helps(command: Any, path: Sequence[str], parent: Any) -> Iterator[tuple[str, str]]:
    """The name and the help of a command and of all below it, in the order in which `--help` lists them."""
    context = command.context_class(
        command, info_name=path[-1], parent=parent, terminal_width=WIDTH, max_content_width=WIDTH
    )
    yield " ".join(path), command.get_help(context).rstrip()
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from _helps(command.get_command(context, name), (*path, name), context)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""`redraft new`: a job file to begin with, and the files of its checks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from workers.cli import output

app = typer.Typer()
# Each is `KIND.md` in ops/templates; the files of its checks are called KIND_….
KINDS = ("code", "maths", "extract", "score")


def kinds(incomplete: str) -> list[str]:
    """What the shell offers."""
    return [kind for kind in KINDS if kind.startswith(incomplete)]


@app.command()
def new(
    kind: Annotated[str, typer.Argument(metavar="code|maths|extract|score", help="The kind.", autocompletion=kinds)],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Default: KIND.md in the current folder.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Write a job file to begin with, whose comments explain each field, and the files of its checks beside it.

    What it writes is a whole job, which can be submitted as it is. No file is overwritten.
    """
    if kind not in KINDS:
        from tasks.jobfields import check_name

        check_name("KIND", kind, KINDS)
    files = _files(kind, file or Path(f"{kind}.md"))
    _write(files)
    if as_json:
        output.emit({"files": [str(path) for path in files]})
        return
    for path in files:
        output.line(str(path))
    output.note(
        f"now write your own problem into it, and see what it may cost: redraft submit {next(iter(files))} --dry-run"
    )


def _files(kind: str, job: Path) -> dict[Path, str]:
    """The texts by path, the job file first. Raises `InvalidInput` for a name that is none of a job file."""
    from tasks.errors import InvalidInput
    from workers.packaged import ops

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", job.stem) or job.suffix.lower() in (".jsonl", ".ndjson"):
        allowed = "the name of a Markdown file: letters, digits and . _ -, for example slug.md"
        raise InvalidInput("FILE", str(job), allowed)
    if not job.parent.is_dir():
        raise InvalidInput("FILE", str(job), f"in a folder that exists; {job.parent} does not")
    templates = ops("templates")
    names = sorted(path.name for path in templates.iterdir() if path.name.startswith(f"{kind}_"))
    renamed = {name: f"{job.stem}_{name.removeprefix(f'{kind}_')}" for name in names}
    text = (templates / f"{kind}.md").read_text(encoding="utf-8")
    for name, own in renamed.items():
        text = text.replace(name, own)
    checks = {job.parent / own: (templates / name).read_text(encoding="utf-8") for name, own in renamed.items()}
    return {job: text, **checks}


def _write(files: dict[Path, str]) -> None:
    """Writes all of them, or none where one of the names is taken. Raises `InvalidInput`."""
    from tasks.errors import InvalidInput

    for path in files:
        if path.exists() or path.is_symlink():
            raise InvalidInput("FILE", str(path), "a name that is free: nothing is overwritten")
    for path, text in files.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(text)

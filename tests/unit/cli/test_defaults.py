"""Defaults that are kept as they are, and what somebody gives, which is checked as before."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import typer
from typer.exceptions import TyperException
from typer.main import get_command

from workers.cli.defaults import keep_defaults

SEEN: dict[str, Any] = {}


def _told(value: bool) -> bool:
    SEEN["told"] = value
    return value


def _group() -> Any:
    app = typer.Typer()

    @app.callback()
    def root() -> None: ...

    @app.command()
    def take(
        number: Annotated[int, typer.Argument(min=1)],
        names: Annotated[list[str] | None, typer.Option("--name")] = None,
        tags: Annotated[list[str], typer.Option("--tag")] = [],  # noqa: B006
        limit: Annotated[int | None, typer.Option(min=1)] = None,
        ratio: float = 0.5,
        loud: Annotated[bool, typer.Option("--loud", callback=_told)] = False,
    ) -> None:
        SEEN.update(number=number, names=names, tags=tags, limit=limit, ratio=ratio, loud=loud)

    return get_command(app)


@pytest.mark.parametrize(
    "arguments",
    [["take", "7"], ["take", "7", "--name=a", "--name=b", "--tag=t", "--limit=3", "--ratio=2", "--loud"]],
)
def test_a_command_is_given_what_it_would_have_been_given(arguments: list[str]) -> None:
    SEEN.clear()
    _group().main(args=arguments, standalone_mode=False)
    before = dict(SEEN)
    kept = _group()
    keep_defaults(kept)
    SEEN.clear()
    kept.main(args=arguments, standalone_mode=False)
    assert dict(SEEN) == before
    assert [type(value) for value in SEEN.values()] == [type(value) for value in before.values()]


@pytest.mark.parametrize("arguments", [["take"], ["take", "0"], ["take", "7", "--limit=x"], ["take", "7", "--limit=0"]])
def test_what_is_missing_or_wrong_is_refused_as_before(arguments: list[str]) -> None:
    said = []
    for keep in (False, True):
        command = _group()
        if keep:
            keep_defaults(command)
        with pytest.raises(TyperException) as refused:
            command.main(args=arguments, standalone_mode=False)
        said.append(refused.value.format_message())
    assert said[0] == said[1]

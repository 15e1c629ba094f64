"""Options that nobody gave keep their defaults as they are. Typer would check these too, and imports pydantic to do so,
which takes a quarter of the time that a list of jobs does. Knows no command."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import typer


def keep_defaults(command: Any) -> None:
    """Has the parameters of a command, and of those below it, checked only where somebody gave them."""
    for parameter in command.get_params(typer.Context(command)):  # `--help` too, which the command then keeps
        parameter.process_value = functools.partial(_processed, parameter, parameter.process_value)
    for below in getattr(command, "commands", {}).values():
        keep_defaults(below)


def _processed(parameter: Any, check: Callable[[Any, Any], Any], context: Any, value: Any) -> Any:
    source = context.get_parameter_source(parameter.name)
    if parameter.required or source is None or source.name != "DEFAULT":
        return check(context, value)
    if value is None and (parameter.multiple or parameter.nargs == -1):
        value = ()
    return value if parameter.callback is None else parameter.callback(context, parameter, value)

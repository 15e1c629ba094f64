"""Ctrl-C, however it arrives. Knows no command."""

from __future__ import annotations


def is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is what went wrong. A library's own clean-up may fail on it and hide it: SQLAlchemy's ping of a
    connection raises a `ProgrammingError` then, whose context it is."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None

"""The driver's faults in our words, by their SQLSTATE. Knows the driver, and not SQLAlchemy."""

from __future__ import annotations

from tasks.errors import DatabaseUnavailable

NO_SCHEMA = frozenset({"42P01", "42883", "42703", "3F000"})
NO_RIGHT = "42501"


def explain(error: BaseException | None) -> DatabaseUnavailable | None:
    """What a refused statement means to whoever runs it: that the schema is missing, or the login's role; None for
    anything else, which is a defect."""
    state = getattr(error, "sqlstate", None)
    if state in NO_SCHEMA:
        return DatabaseUnavailable("the database has no schema of this release; run `redraft db upgrade`")
    if state == NO_RIGHT:
        return DatabaseUnavailable(f"{first_line(error)}: the login needs the role redraft_submitter")
    return None


def unreachable(error: BaseException | None) -> DatabaseUnavailable:
    """That Postgres did not answer, and why."""
    return DatabaseUnavailable(f"Postgres did not answer: {first_line(error)}")


def first_line(error: BaseException | None) -> str:
    """The first line of the driver's message, or the error's name."""
    text = str(error).strip() if error else ""
    return text.split("\n", 1)[0] or type(error).__name__

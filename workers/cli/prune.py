"""`redraft db prune`: jobs that ended long ago, exported to a folder and then deleted."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import output

if TYPE_CHECKING:
    from tasks.archive import Archive
    from tasks.store.prune import Prunable

Before = Annotated[
    str | None, typer.Option(metavar="DATE", help="Jobs that ended before that day, as 2026-01-31 (UTC).")
]
OlderThan = Annotated[str | None, typer.Option("--older-than", metavar="30d", help="Jobs that ended so many days ago.")]
To = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where they are exported to first.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would go, and change nothing.")]
WithLessons = Annotated[
    bool, typer.Option("--with-lessons", help="Take jobs whose lessons are in use, too, and the lessons with them.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Default: REDRAFT_DATABASE_URL, or the local stack's.")
]


def prune(
    before: Before = None,
    older_than: OlderThan = None,
    to: To = None,
    dry_run: DryRun = False,
    with_lessons: WithLessons = False,
    yes: Yes = False,
    url: Url = None,
    as_json: output.Json = False,
) -> None:
    """Delete jobs that ended long ago, of all owners, once they are exported to a folder.

    Each batch is written there, read back and compared by count and SHA-256 before it is deleted. Jobs that wait, run,
    are paused or ask stay, and so do those that anything of today rests on. Limits of a day are not touched; `redraft
    cost` no longer counts what went. Needs a superuser.
    """
    from tasks.errors import InvalidInput
    from tasks.store import prune as store
    from tasks.store.session import Database
    from workers.addresses import database_url

    moment = _moment(before, older_than)
    if to is None and not dry_run:
        raise InvalidInput("--to", "", "a folder that the jobs are exported to, or --dry-run")
    with Database(url or database_url(admin=True), name="redraft prune", pool=1) as database:
        goes = store.prunable(database, moment, lessons=with_lessons)
        if not as_json:
            _show(goes, moment)
        if dry_run or to is None or not goes.jobs:
            deleted = 0
        else:
            if not yes:
                typer.confirm(f"export {goes.jobs} jobs to {to}, and delete them?", abort=True, err=True)
            deleted = store.prune(database, moment, _archive(to).keep, lessons=with_lessons)
    if as_json:
        output.emit({"before": moment, "dry_run": dry_run, "deleted": deleted, **_document(goes)})
    elif deleted:
        print(f"{deleted} jobs exported to {to} and deleted")
        if with_lessons:
            output.note("`redraft memory rebuild` takes their lessons out of the index")


def _archive(folder: Path) -> Archive:
    from tasks.archive import Archive
    from tasks.errors import InvalidInput

    try:
        return Archive(folder)
    except OSError as error:
        raise InvalidInput("--to", str(folder), f"a folder that can be written ({error.strerror})") from None


def _moment(before: str | None, older_than: str | None) -> datetime:
    from tasks.errors import InvalidInput

    if (before is None) is (older_than is None):
        raise InvalidInput("--before", before, "either a day, or --older-than and how long ago")
    if older_than is not None:
        days = re.fullmatch(r"([1-9]\d{0,4})d", older_than)
        if days is None:
            raise InvalidInput("--older-than", older_than, "a number of days, such as 30d")
        return datetime.now(UTC) - timedelta(days=int(days[1]))
    try:
        return datetime.strptime(str(before), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput("--before", before, "a day as YYYY-MM-DD") from None


def _show(goes: Prunable, moment: datetime) -> None:
    which = f"ended before {moment:%Y-%m-%d %H:%M} UTC"
    output.note(f"{goes.jobs:,} jobs {which} and can go, with {sum(goes.rows.values()):,} rows")
    for table, count in sorted(goes.rows.items()):
        output.note(f"  {table}: {count:,}")
    if goes.jobs:
        tokens = f"{output.count(goes.local_tokens)} local and {output.count(goes.cloud_tokens)} cloud tokens"
        output.note(f"`redraft cost` will no longer count their {output.usd(goes.usd)}, {tokens}")
    for why, count in goes.kept.items():
        more = "; --with-lessons takes them, too" if "lesson" in why else ""
        output.note(f"{count:,} jobs that {which} stay: {why}{more}")


def _document(goes: Prunable) -> dict[str, object]:
    return {
        "jobs": goes.jobs,
        "rows": dict(goes.rows),
        "usd": goes.usd,
        "local_tokens": goes.local_tokens,
        "cloud_tokens": goes.cloud_tokens,
        "kept": dict(goes.kept),
    }

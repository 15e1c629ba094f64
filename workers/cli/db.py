"""`redraft db`: the schema of the database, through the migrations that the package carries."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli import output

app = typer.Typer(help="Upgrade, downgrade or show the database's schema.")
Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Default: REDRAFT_DATABASE_URL, or the local stack's.")
]


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(help="Where to.")] = "head", url: Url = None, as_json: output.Json = False
) -> None:
    """Bring the schema up to date; two at once are safe. Needs a login that may change the schema."""
    from tasks.store import migrate

    address = _address(url)
    before = migrate.current(address)
    migrate.upgrade(address, revision)
    _tell(before, migrate.current(address), as_json=as_json)


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="Where to; `base` takes everything away.")],
    url: Url = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: output.Json = False,
) -> None:
    """Take the schema back; the data of what it drops are lost."""
    from tasks.store import migrate

    address = _address(url)
    before = migrate.current(address)
    if not yes:
        typer.confirm(
            f"take the schema from {before} back to {revision}, with the data of what goes?", abort=True, err=True
        )
    migrate.downgrade(address, revision)
    _tell(before, migrate.current(address), as_json=as_json)


@app.command()
def current(url: Url = None, as_json: output.Json = False) -> None:
    """Show the database's revision beside the one this release was written for."""
    from tasks.store import migrate

    now, head = migrate.current(_address(url)), migrate.head()
    if as_json:
        output.emit({"revision": now, "head": head})
    elif now == head:
        print(f"{now} (up to date)")
    else:
        print(f"{now or 'no schema'}; this release is written for {head}: run `redraft db upgrade`")


def _address(url: str | None) -> str:
    from workers.cli.database import database_url

    return url or database_url(admin=True)


def _tell(before: str | None, after: str | None, *, as_json: bool) -> None:
    if as_json:
        output.emit({"before": before, "revision": after})
    else:
        print(
            f"{after or 'no schema'} (was {before or 'no schema'})" if before != after else f"{after} (nothing to do)"
        )

"""`redraft db`: the schema of the database, through the migrations that the package carries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from workers.cli import output
from workers.cli.prune import prune

app = typer.Typer(help="The database: its schema, its logins, its address, and what can be deleted of it.")
app.command("prune")(prune)
# A role of the database's own, or one of Redraft's groups, is nobody's login.
LOGIN = re.compile(r"(?!postgres$|pg_|redraft_)[a-z][a-z0-9_]{0,62}")
Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="Default: REDRAFT_DATABASE_URL, or the local stack's.")
]


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(help="The revision to upgrade to.")] = "head",
    url: Url = None,
    as_json: output.Json = False,
) -> None:
    """Upgrade the schema; two upgrades at once are safe. Needs a login that may change the schema."""
    from tasks.crashpoints import arm_process
    from tasks.settings import load_settings
    from tasks.store import migrate

    arm_process(load_settings().crash_at)
    address = _address(url)
    before = migrate.current(address)
    migrate.upgrade(address, revision)
    _print_change(before, migrate.current(address), as_json=as_json)


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="The revision to go back to; `base` drops everything.")],
    url: Url = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: output.Json = False,
) -> None:
    """Downgrade the schema; the data of what it drops are lost."""
    from tasks.store import migrate

    address = _address(url)
    before = migrate.current(address)
    if not yes:
        typer.confirm(
            f"take the schema from {before} back to {revision}, and lose the data of what is dropped?",
            abort=True,
            err=True,
        )
    migrate.downgrade(address, revision)
    _print_change(before, migrate.current(address), as_json=as_json)


@app.command()
def login(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The owner of its jobs, a fleet of workers, or who reads the metrics.")
    ],
    role: Annotated[str, typer.Option(metavar="worker|submitter|metrics", help="What the login may do.")],
    password_file: Annotated[Path, typer.Option(metavar="FILE", help="A file that holds only the password.")],
    url: Url = None,
    as_json: output.Json = False,
) -> None:
    """Create a login, or set the role and password of an existing one. Needs a superuser."""
    from tasks.errors import InvalidInput
    from tasks.store import roles

    known: dict[str, roles.Role] = {
        "worker": "redraft_worker",
        "submitter": "redraft_submitter",
        "metrics": "redraft_metrics",
    }
    if role not in known:
        raise InvalidInput("--role", role, f"one of {', '.join(known)}")
    if not LOGIN.fullmatch(name):
        allowed = "a-z, 0-9 and _, beginning with a letter, at most 63; not postgres, pg_… or redraft_…"
        raise InvalidInput("NAME", name, allowed)
    try:
        password = password_file.read_text().strip()
    except (OSError, ValueError) as error:
        raise InvalidInput("--password-file", str(password_file), f"a file that can be read ({error})") from None
    if not password or "\n" in password or "\0" in password:
        raise InvalidInput("--password-file", str(password_file), "a file that holds one line, the password")
    roles.ensure_login(_address(url), name, password, known[role])
    if as_json:
        output.emit({"login": name, "role": role})
    else:
        print(f"{name} may log in as a {role}")


@app.command()
def current(url: Url = None, as_json: output.Json = False) -> None:
    """Show the revision of the database, and the one that this release needs."""
    from tasks.store import migrate

    now, head = migrate.current(_address(url)), migrate.head()
    if as_json:
        output.emit({"revision": now, "head": head})
    elif now == head:
        print(f"{now} (up to date)")
    else:
        print(f"{now or 'no schema'}; this release is written for {head}: run `redraft db upgrade`")


@app.command("url")
def url_() -> None:
    """Print the address of your own login, for any Postgres client: `psql "$(redraft db url)"`. It holds the password.

    The login sees its own jobs and may change nothing that `redraft` does not change for it; the views are documented.
    """
    from tasks.store.address import conninfo
    from workers.addresses import database_url

    print(conninfo(database_url()))


def _address(url: str | None) -> str:
    from workers.addresses import database_url

    return url or database_url(admin=True)


def _print_change(before: str | None, after: str | None, *, as_json: bool) -> None:
    if as_json:
        output.emit({"before": before, "revision": after})
    else:
        print(
            f"{after or 'no schema'} (was {before or 'no schema'})" if before != after else f"{after} (nothing to do)"
        )

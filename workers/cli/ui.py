"""`redraft ui`: the way into the live page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import output

if TYPE_CHECKING:
    from workers.stackfile import StackFile

app = typer.Typer()


@app.command()
def ui(
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    port: Annotated[
        int,
        typer.Option(min=0, max=65_535, help="Where to serve the page of REDRAFT_DATABASE_URL. 0: a free one."),
    ] = 0,
    as_json: output.Json = False,
) -> None:
    """Print a link that opens the live page: the night, your jobs, one job in detail.

    It works once, within ten minutes. Others sign in on the page with their own login of the database.
    With REDRAFT_DATABASE_URL the page of that database is served here until Ctrl-C.
    """
    from tasks.errors import ServiceFault
    from tasks.settings import load_settings
    from workers.addresses import NO_STACK
    from workers.stackfile import read

    def say(link: str) -> None:
        _say(link, open_it=open_it, as_json=as_json)

    settings = load_settings()
    elsewhere = settings.database_url.get_secret_value()
    if elsewhere:
        from workers.cli.client import connect
        from workers.ui.server import serve_database

        with connect() as client:
            client.reader()  # a database that is not there is a line at once
        serve_database(elsewhere, port, say)
        return
    stack = read(settings.home)
    if stack is None or not stack.ui_url:
        raise ServiceFault(NO_STACK)
    say(_link_of(stack))


def _link_of(stack: StackFile) -> str:
    """A new link into the page of a stack."""
    import time

    from workers.ui.links import make_link_key

    return f"{stack.ui_url}/enter?key={make_link_key(stack.ui_secret, time.time())}"


def _say(link: str, *, open_it: bool, as_json: bool) -> None:
    from workers.ui.links import LINK_SECONDS

    if as_json:
        output.emit_line({"link": link, "address": link.partition("/enter")[0], "seconds": LINK_SECONDS})
    else:
        print(link, flush=True)
    if open_it:
        import webbrowser

        if not webbrowser.open(link):
            output.note("no browser could be opened; open the link yourself")

"""`redraft ui`: the way into the live page."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli import output

app = typer.Typer()


@app.command()
def ui(
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    as_json: output.Json = False,
) -> None:
    """Print a link that opens the live page: the night, your jobs, one job in detail.

    It works once, within ten minutes. Others sign in on the page with their own login of the database.
    """
    import time

    from tasks.errors import ServiceFault
    from tasks.settings import load_settings
    from workers.addresses import NO_STACK
    from workers.stackfile import read
    from workers.ui.links import LINK_SECONDS, make_link_key

    stack = read(load_settings().home)
    if stack is None or not stack.ui_url:
        raise ServiceFault(NO_STACK.partition(",")[0])
    link = f"{stack.ui_url}/enter?key={make_link_key(stack.ui_secret, time.time())}"
    if as_json:
        output.emit({"link": link, "address": stack.ui_url, "seconds": LINK_SECONDS})
    else:
        print(link)
    if open_it:
        import webbrowser

        if not webbrowser.open(link):
            output.note("no browser could be opened; open the link yourself")

"""`redraft metrics`: the process that Prometheus scrapes."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def metrics(
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Where to listen. Default: REDRAFT_METRICS_PORT. 0: a free one."),
    ] = None,
    address: Annotated[
        str, typer.Option(help="On which address of this machine. The numbers have no password.")
    ] = "127.0.0.1",
) -> None:
    """Serve the metrics of a database to Prometheus, until it is told to end.

    `redraft up` runs one: `redraft status` shows its address. It needs a login of role `metrics`, which sees numbers
    and no row.
    """
    from tasks.settings import load_settings
    from workers.addresses import metrics_database_url
    from workers.logs import configure_log
    from workers.metrics.server import serve

    settings = load_settings()
    configure_log(settings.log_level, settings.log_format)
    chosen = settings.metrics_port if port is None else port
    serve(
        settings,
        metrics_database_url(),
        port=chosen,
        address=address,
        ready=lambda at: typer.echo(f"http://{address}:{at}/metrics", err=True),
    )

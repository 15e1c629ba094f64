"""`redraft worker | relay`: thin; the processes live in `workers.run` and `workers.relay_process`."""

from __future__ import annotations

from typing import Annotated

import structlog
import typer

from tasks.errors import InvalidInput
from tasks.settings import load_settings
from tasks.types import Egress, Lane
from workers.logs import configure_log

app = typer.Typer(rich_markup_mode=None)


def parse_lanes(text: str) -> frozenset[Lane]:
    """Lanes out of a comma-separated list. Raises `InvalidInput`."""
    known = ", ".join(Lane)
    names = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in names if name not in list(Lane)]
    if unknown or not names:
        raise InvalidInput("--lane", text, f"allowed are {known}, separated by commas")
    return frozenset(Lane(name) for name in names)


@app.command()
def worker(
    lane: Annotated[str, typer.Option("--lane", help="The lanes to serve, separated by commas.")] = "gpu,fast,check",
) -> None:
    """Run a worker, which takes turns at jobs."""
    settings, lanes = load_settings(), parse_lanes(lane)
    if Lane.CLOUD in lanes and not settings.has_adviser:
        why = "lane cloud needs an OpenAI key or another endpoint: set OPENAI_API_KEY, or REDRAFT_ADVISER_URL"
        raise InvalidInput("--lane", lane, why)
    if Lane.CLOUD in lanes and settings.egress is Egress.NEVER:
        why = f"lane cloud sends text out, and egress is {settings.egress} here: set REDRAFT_EGRESS=full, or hint"
        raise InvalidInput("--lane", lane, why)
    configure_log(settings.log_level, settings.log_format)
    from workers.addresses import broker_url, worker_database_url
    from workers.celery_app import make_app
    from workers.engine.select import host_for
    from workers.run import run_worker

    log = structlog.get_logger()
    app_ = make_app(broker_url())
    run_worker(settings, app=app_, url=worker_database_url(), host=host_for(lanes, settings, log.info), lanes=lanes)


@app.command()
def relay() -> None:
    """Run the relay, which wakes workers."""
    settings = load_settings()
    configure_log(settings.log_level, settings.log_format)
    from workers.addresses import broker_url, worker_database_url
    from workers.relay_process import run_relay

    run_relay(settings, url=worker_database_url(), broker=broker_url())

"""The log of a process that stays, which is its standard output: one line for each thing that happened, with the job,
iteration, epoch and Celery id of the turn it belongs to. Lines of libraries come in the same form. Knows no job."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog

# At level info they log each request: two lines for each call to a model.
CHATTY = ("httpx", "httpx2")
# First in a line of text, where they are known.
FIRST = ["timestamp", "level", "event", "job", "iteration", "epoch", "task_id"]


def configure_log(level: str, form: Literal["text", "json"]) -> None:
    """Lines of `level` and above, as `key=value` or as one JSON object each."""
    minimum = logging.getLevelNamesMapping()[level.upper()]
    render: Any = structlog.processors.KeyValueRenderer(key_order=FIRST, drop_missing=True)
    if form == "json":
        render = structlog.processors.JSONRenderer(default=str)
    common: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [structlog.processors.format_exc_info, render]
    structlog.configure(
        processors=[*common, *last],
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    logging.basicConfig(handlers=[handler], level=minimum, force=True)
    logging.captureWarnings(True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)

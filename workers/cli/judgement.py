"""What an acceptance by judges alone is worth, in words and in JSON."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.judge_rates import JudgeRates, ModelRates
    from tasks.store.summaries import JobSummary, JudgedBy


def line(job: JobSummary) -> str:
    """Which model judged the job's answer, and how many right and wrong answers such votes pass; empty where it was not
    accepted by judges alone."""
    from tasks.judge_rates import describe

    by = job.judged_by
    return describe(by.model, by.votes, _rates(by)) if by else ""


def document(job: JobSummary) -> dict[str, Any] | None:
    """The same as numbers: `right` and `wrong` are None where the model was never measured."""
    by = job.judged_by
    if by is None:
        return None
    rates = _rates(by)
    panel = rates.at(by.votes) if rates else None
    return {
        "model": by.model,
        "votes": by.votes,
        "right": panel.right.model_dump() if panel else None,
        "wrong": panel.wrong.model_dump() if panel else None,
        "measured": rates.measured if rates else None,
        "informs": panel.informs if panel else None,
        "note": line(job),
    }


@functools.cache
def known() -> JudgeRates:
    """The rates that this deployment knows."""
    from tasks.settings import load_settings
    from workers.judge_rates import load_rates

    return load_rates(load_settings())


def _rates(by: JudgedBy) -> ModelRates | None:
    from tasks.prompts.judging import DIGEST

    return known().of(by.model, DIGEST)

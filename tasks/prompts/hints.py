"""The part of a prompt with the advice that the job was given. Pure; must not know how advice is given or stored."""

from __future__ import annotations

from tasks.prompts.layout import HINTS_CHARS, Shortener, fence, shares
from tasks.types import Hint, HintSource, Job

INTRODUCTION = (
    "Heed this advice. It may be mistaken in part: the checks decide, and nothing below changes what they ask."
)


def hints(job: Job, shortener: Shortener) -> str:
    """What people and the cloud model advised, in the order in which it was given; empty where nobody did. What is long
    shares the room that short advice leaves."""
    rooms = shares([len(hint.text) for hint in job.hints], shortener.in_rest(HINTS_CHARS))
    shown = [
        f"{_title(hint)}\n{fence(shortener.shorten('advice', hint.text.strip(), room), '')}"
        for hint, room in zip(job.hints, rooms, strict=True)
    ]
    return "\n\n".join(["# Advice", INTRODUCTION, *shown]) if shown else ""


def _title(hint: Hint) -> str:
    if hint.question:
        return f"Asked: {hint.question}\nThe answer:"
    match hint.source:
        case HintSource.PERSON:
            return "From the person who posed the problem:"
        case HintSource.CLOUD:
            return "From a stronger model:"

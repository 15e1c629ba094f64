"""What may be done to a job from its page. Each is a form with its session's token; `handlers` checks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from tasks.errors import InvalidInput
from tasks.jobfields import read_changes
from tasks.types import JobState
from workers.ui.handlers import Handler
from workers.ui.jobpages import of_path

if TYPE_CHECKING:
    from tasks.client import Client

ACTIONS: dict[str, Callable[[Client, int], JobState]] = {
    "cancel": lambda client, job: client.cancel(job),
    "pause": lambda client, job: client.pause(job),
    "resume": lambda client, job: client.resume(job),
}


class Action(Handler):
    """`POST /jobs/N/cancel` and the like; the job's page says what came of it."""

    names: ClassVar[str] = "|".join(ACTIONS)

    async def post(self, number: str, action: str) -> None:
        """Does it, and goes back to the job's page."""
        job = of_path(number)
        await self.read(lambda: ACTIONS[action](self.signed_in.client, job))
        self.redirect(f"/jobs/{job}", status=303)


class NewBudget(Handler):
    """`POST /jobs/N/budget` with the limits that are to change, under the rules of `redraft edit --budget`."""

    units: ClassVar[tuple[str, ...]] = ("usd", "hours", "iterations", "tokens")

    async def post(self, number: str) -> None:
        """Changes it, and goes back to the job's page."""
        job, client = of_path(number), self.signed_in.client
        typed = {unit: self.get_body_argument(unit, "").strip() for unit in self.units}
        named = [f"{unit}={value}" for unit, value in typed.items() if value]
        if not named:
            raise InvalidInput("budget", "", f"one of {', '.join(self.units)}")
        if any("," in value for value in typed.values()):
            raise InvalidInput("budget", " ".join(named), "numbers without commas, such as 2000000")
        await self.read(lambda: client.edit(job, read_changes(named)))
        self.redirect(f"/jobs/{job}", status=303)


class Word(Handler):
    """`POST /jobs/N/hint` and `/jobs/N/reply`, with a `text`."""

    names: ClassVar[str] = "hint|reply"

    async def post(self, number: str, action: str) -> None:
        """Says it to the job, and goes back to its page."""
        job, text = of_path(number), self.get_body_argument("text", "").replace("\r\n", "\n")
        client = self.signed_in.client
        await self.read(lambda: client.hint(job, text) if action == "hint" else client.answer(job, text))
        self.redirect(f"/jobs/{job}", status=303)

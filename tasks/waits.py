"""How long an escalation waits for a provider that did not take it, and when that is enough. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

# Between two requests where the provider names no time: OpenAI advises waits that grow, with a share by chance.
FIRST_SECONDS = 5.0
LONGEST_SECONDS = 300.0
JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitRules:
    """`tries` is how often a request may be sent until it is taken, `seconds` how long it may wait in all. With `local`
    it does not wait for a provider whose circuit is open: its job goes on without it."""

    tries: int = 8
    seconds: float = 3600.0
    local: bool = False

    def enough(self, *, tries: int, waited: float, seconds: float, left: float) -> str:
        """Why a request that was sent `tries` times and has `waited` does not wait for `seconds` more; nothing where it
        does. `left` are the seconds left of its job's hours."""
        if tries >= self.tries:
            return f"it was tried {tries} times"
        if waited + seconds > self.seconds:
            return f"it would have waited {waited + seconds:,.0f} s in all, and may wait {self.seconds:,.0f} s"
        if seconds >= left:
            return "the job's hours end before it may be sent again"
        return ""


PATIENT = WaitRules()


def pause(tries: int, seed: str, named: float | None) -> float:
    """Seconds until the next try, after so many: those that the provider `named`, and a share by chance more, for many
    jobs may have been told the same moment; else twice as many with each try. `seed` makes the chance repeatable."""
    share = 1 + JITTER * random.Random(seed).random()  # noqa: S311 - no secret
    if named is not None:
        return max(1.0, named * share)
    return float(min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(tries - 1, 10)) * share)

"""The jobs of the chaos suite and the answers a model gives to them: every answer is a function of its prompt and
seed, so a run without faults says how each must end.

Knows no service, and nothing of who works the jobs off.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from tasks.types import Budget, CheckSpec, Egress, JobSpec

# Wrong tries before the right one: a draft, a revision, and the revision that is right. Each problem has its own.
WRONG_TRIES = 2
LESSON = "WHEN: a riddle with a number\nDO: go through it step by step\nAVOID: stopping at the first guess"
PROBLEM = "Riddle {number}: which number is meant?"
POISON = "This riddle ends whoever reads it."
# Seconds of a worker's clock that is wrong by ten minutes must not count against this budget.
SHORT_HOURS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Riddle:
    """One problem of the workload. `memory`: it leaves a lesson, which is a side effect. `poison`: whoever works on it
    is killed."""

    number: int
    memory: bool = False
    poison: bool = False

    @property
    def problem(self) -> str:
        """What the model is shown."""
        return PROBLEM.format(number=self.number) + (f"\n{POISON}" if self.poison else "")

    @property
    def right(self) -> str:
        """The answer that the checks accept."""
        return str(self.number * 100)

    @property
    def end(self) -> str:
        """The state that the job must come to."""
        return "quarantined" if self.poison else "accepted"

    def spec(self, key: str) -> JobSpec:
        """The job, under a key that makes handing it in twice harmless."""
        checks = (
            CheckSpec(name="answer", kind="answer", value={"exact": self.right}),
            CheckSpec(name="answer#2", kind="answer", value={"regex": "[0-9]+"}, held_out=True),
        )
        return JobSpec(
            title=f"Riddle {self.number}",
            problem=self.problem,
            checks=checks,
            budget=Budget(hours=SHORT_HOURS, iterations=8),
            egress=Egress.NEVER,
            seed=self.number,
            key=key,
            memory=self.memory,
        )


# Each fifth leaves a lesson.
RIDDLES = tuple(Riddle(number=number, memory=number % 5 == 0) for number in range(2, 12))
# All but two leave one.
TEACHING = tuple(Riddle(number=number, memory=number > 21) for number in range(20, 25))
# One kills, the others don't.
POISONED = (*(Riddle(number=number) for number in range(40, 44)), Riddle(number=44, poison=True))
# What the run without faults tells the stories of.
ALL = (*RIDDLES, *TEACHING, *POISONED[:-1])


def answer(prompt: str, seed: int) -> str:
    """What the model says: a review, a lesson, or the next try at the riddle that the prompt is about.

    Its last word is a hash of all that was asked, lessons aside: a prompt that a crash has changed shows.
    """
    asked = re.sub(r"# What earlier jobs taught\n.*?\n\n", "", prompt, flags=re.DOTALL)
    mark = hashlib.sha256(f"{seed}\n{asked}".encode()).hexdigest()[:10]
    if "WHEN:" in asked:
        return LESSON
    if "List the problems" in asked:
        return f"- the number is too small, says {mark}"
    found = re.search(r"Riddle (\d+): which", asked)
    if found is None:
        return f"Hello, {mark}."
    number = int(found[1])
    tried = max((n for n in range(WRONG_TRIES + 1) if f"ANSWER: {number * 100 + n}\n" in asked), default=0)
    value = number * 100 + (tried + 1) % (WRONG_TRIES + 1)
    return f"it was asked for by {mark}\nANSWER: {value}"

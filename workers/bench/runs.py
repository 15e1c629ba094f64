"""What came of one strategy on one task with one seed."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from tasks.types import StopCode
from workers.bench.tasks import Mode


class Run(BaseModel):
    """`accepted` is what the job's own checks said of the chosen answer, `right` what the scoring checks say of it;
    `any_right` whether any candidate of the run was right. `repeated_tokens` were written on answers that do what a
    rejected one of the run did; `degenerate` counts calls that looped; `seconds` are those of the engine.
    """

    model_config = ConfigDict(frozen=True)

    task: str
    strategy: str
    seed: int
    mode: Mode
    accepted: bool
    right: bool
    any_right: bool
    calls: int
    degenerate: int
    iterations: int
    prompt_tokens: int
    completion_tokens: int
    repeated_tokens: int
    seconds: float
    stop: StopCode

    @property
    def solved(self) -> bool:
        """Whether a right answer was accepted."""
        return self.accepted and self.right

    @property
    def falsely_accepted(self) -> bool:
        """Whether a wrong answer was accepted."""
        return self.accepted and not self.right

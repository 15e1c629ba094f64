"""A file of judges' votes on right answers and on wrong ones, and the rates that follow from it.

JSON lines: a header, the pairs of answers, the votes. Lines are only ever appended, so a measurement goes on after any
kill.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tasks.errors import InvalidInput
from tasks.judge_rates import ModelRates, PanelRates, Tally, VoteRates, decided
from tasks.prompts.judging import DIGEST, JUDGE_PROMPTS
from workers.bench import lines
from workers.bench.planted import PlantedPair

VERSION = 1


class Header(BaseModel):
    """What was measured: the model by its name in requests, its engine, and the digest of the judge prompts; `seed`
    draws the pairs and the votes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: Literal["judges"] = "judges"
    version: int = VERSION
    model: str
    engine: str
    prompts: str
    seed: int
    date: str


class CastVote(BaseModel):
    """One vote on the right or the wrong answer of a pair; `passed` is not there where it was invalid twice. Tokens and
    seconds are of all its calls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: Literal["vote"] = "vote"
    pair: str
    right: bool
    prompt: str
    passed: bool | None = None
    prompt_tokens: int
    completion_tokens: int
    seconds: float


_ROWS: TypeAdapter[Header | PlantedPair | CastVote] = TypeAdapter(
    Annotated[Header | PlantedPair | CastVote, Field(discriminator="row")]
)
# The pair's name, whether it is the right answer, the judge prompt's name.
VoteKey = tuple[str, bool, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A file of votes as it is now."""

    header: Header
    pairs: tuple[PlantedPair, ...]
    votes: dict[VoteKey, CastVote]

    def missing(self, pair: PlantedPair) -> tuple[VoteKey, ...]:
        """The votes on the pair that are still to be cast, those on its right answer first."""
        keys = ((pair.name, right, prompt.name) for right in (True, False) for prompt in JUDGE_PROMPTS)
        return tuple(key for key in keys if key not in self.votes)

    def rates(self) -> ModelRates | None:
        """The rates over all pairs with every vote; None where there is none yet."""
        whole = [pair for pair in self.pairs if not self.missing(pair)]
        if not whole:
            return None
        return ModelRates(
            measured=self.header.date,
            engine=self.header.engine,
            prompts=self.header.prompts,
            cases=dict(Counter(pair.kind for pair in whole)),
            judge_prompts={prompt.name: self._of_prompt(whole, prompt.name) for prompt in JUDGE_PROMPTS},
            panel=tuple(self._of_panel(whole, votes) for votes in range(1, len(JUDGE_PROMPTS) + 1)),
        )

    def _of_prompt(self, pairs: Sequence[PlantedPair], prompt: str) -> VoteRates:
        votes = [self.votes[pair.name, right, prompt] for pair in pairs for right in (True, False)]
        right, wrong = (
            Tally(passed=sum(v.passed is True for v in votes if v.right is kind), cases=len(pairs))
            for kind in (True, False)
        )
        return VoteRates(
            right=right,
            wrong=wrong,
            invalid=sum(vote.passed is None for vote in votes),
            prompt_tokens=sum(vote.prompt_tokens for vote in votes),
            completion_tokens=sum(vote.completion_tokens for vote in votes),
        )

    def _of_panel(self, pairs: Sequence[PlantedPair], needed: int) -> PanelRates:
        right, wrong = (
            Tally(passed=sum(self._accepts(pair, kind, needed) for pair in pairs), cases=len(pairs))
            for kind in (True, False)
        )
        return PanelRates(votes=needed, right=right, wrong=wrong)

    def _accepts(self, pair: PlantedPair, right: bool, needed: int) -> bool:
        return decided([self.votes[pair.name, right, p.name].passed for p in JUDGE_PROMPTS], needed) is True


def read_measurement(path: Path) -> Measurement | None:
    """The file's content; None where it is empty or not there. Raises `InvalidInput`."""
    header: Header | None = None
    pairs: dict[str, PlantedPair] = {}
    votes: dict[VoteKey, CastVote] = {}
    for row in lines.read(path, _ROWS):
        match row:
            case Header():
                header = header or row
            case PlantedPair():
                pairs.setdefault(row.name, row)
            case CastVote():
                votes.setdefault((row.pair, row.right, row.prompt), row)
    if header is None and not pairs and not votes:
        return None
    if header is None or header.version != VERSION:
        raise InvalidInput("file", str(path), f"a measurement whose first line is its header, of version {VERSION}")
    return Measurement(header=header, pairs=tuple(pairs.values()), votes=votes)


def begin(path: Path, header: Header) -> Measurement:
    """The measurement that the file holds, or a new one. Raises `InvalidInput` where the file's is another's."""
    found = read_measurement(path)
    if found is None:
        lines.append(path, header)
        return Measurement(header=header, pairs=(), votes={})
    for name in ("model", "prompts", "seed"):
        theirs, ours = getattr(found.header, name), getattr(header, name)
        if theirs != ours:
            raise InvalidInput("file", str(path), f"one of its own for each measurement: its {name} is {theirs}")
    return found


def new_header(model: str, engine: str, seed: int) -> Header:
    """Of a measurement that begins today."""
    return Header(model=model, engine=engine, prompts=DIGEST, seed=seed, date=datetime.now(UTC).date().isoformat())

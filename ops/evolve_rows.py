"""What came of the runs of `ops/bench_evolve.py`: their rows, kept in a file, and the tables of them. Knows nothing of
how a run is made."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import share_interval, table

from tasks.types import Job, Operator

# In how many pairs Redraft is to be better.
WANTED = 0.7
SAID_CHARS = 160
PEER = "openevolve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One candidate: what made it, its completion tokens, its value (None where it is invalid), and what the check said
    of it."""

    by: str
    tokens: int
    value: float | None
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run. `setup` names what was measured, in one hash; `start` is the value of the answer that it began with."""

    setup: str
    problem: str
    side: str
    seed: int
    goal: str
    start: float
    seconds: float
    made: Sequence[Made]

    @property
    def key(self) -> tuple[str, str, int]:
        """Which run it is."""
        return self.problem, self.side, self.seed

    @property
    def best(self) -> float:
        """The best value that the side had in the end, the start's included."""
        values = [self.start, *(one.value for one in self.made if one.value is not None)]
        return max(values) if self.goal == "maximise" else min(values)

    @property
    def tokens(self) -> int:
        """Completion tokens."""
        return sum(one.tokens for one in self.made)

    @property
    def wasted(self) -> int:
        """Those of them that made no candidate with a value."""
        return sum(one.tokens for one in self.made if one.value is None)

    @property
    def gains(self) -> Sequence[Made]:
        """The candidates that were better than the start and all before them."""
        best, found = self.start, list[Made]()
        for one in self.made:
            if one.value is not None and self._better(one.value, best):
                best = one.value
                found.append(one)
        return found

    def is_better(self, other: Row) -> bool:
        """Whether its best value is."""
        return self._better(self.best, other.best)

    def _better(self, value: float, other: float) -> bool:
        return value > other if self.goal == "maximise" else value < other


def made_by_calls(job: Job, calls: Sequence[Mapping[str, Any]]) -> Sequence[Made]:
    """The candidates of a job, each with the tokens of all calls of its slot; what the guard cut counts apart, and so
    do the calls of a slot that has no candidate, as candidates without a value."""
    tokens: dict[tuple[int, int], int] = {}
    made: list[Made] = []
    for call in calls:
        if call["cut"]:
            made.append(Made(by=call["operator"], tokens=call["tokens"], value=None, said="the guard cut it"))
        else:
            place = call["iteration"], call["slot"]
            tokens[place] = tokens.get(place, 0) + call["tokens"]
    for iteration in job.history:
        for candidate in iteration.candidates:
            if candidate.operator is Operator.START:  # which was given
                continue
            [verdict, *_] = candidate.verdicts or [None]
            made.append(
                Made(
                    by=str(candidate.operator),
                    tokens=tokens.pop((candidate.ref.iteration, candidate.ref.slot), 0),
                    value=verdict.value if verdict else None,
                    said=said_of(verdict.feedback) if verdict else "it was not checked",
                )
            )
    rest = [Made(by="unfinished", tokens=left, value=None, said="no candidate") for left in tokens.values() if left]
    return [*made, *rest]


def text(rows: Sequence[Row], sides: Sequence[str], title: str) -> str:
    """A table of values, one of tokens, and a sentence for each of Redraft's sides."""
    by_key = {row.key: row for row in rows}
    cells = []
    for problem, seed in sorted({(row.problem, row.seed) for row in rows}):
        found = [by_key.get((problem, side, seed)) for side in sides]
        start = next(row.start for row in found if row)
        cells.append([problem, str(seed), f"{start:.6g}", *(f"{row.best:.6g}" if row else "-" for row in found)])
    lines = [title, table(("problem", "seed", "start", *sides), cells, str.rjust)]
    heads = (
        "side",
        "runs",
        "tokens",
        "wasted",
        "candidates",
        "valid",
        "gains",
        "variants",
        "valid variants",
        "their gains",
    )
    lines.append(table(heads, _spent(rows, sides), str.rjust))
    lines += ["", *_compared(by_key, sides)]
    return "\n".join(lines)


def _spent(rows: Sequence[Row], sides: Sequence[str]) -> list[list[str]]:
    cells = []
    for side in sides:
        own = [row for row in rows if row.side == side]
        made = [
            [one for row in own for one in row.made if (one.by == Operator.VARY) == varied] for varied in (False, True)
        ]
        gains = [one.by == Operator.VARY for row in own for one in row.gains]
        tokens, wasted = sum(row.tokens for row in own), sum(row.wasted for row in own)
        counts = [
            (len(found), sum(one.value is not None for one in found), gains.count(varied))
            for varied, found in zip((False, True), made, strict=True)
        ]
        share = f"{wasted / tokens:.0%}" if tokens else "-"
        cells.append([side, str(len(own)), f"{tokens:,}", share, *(str(count) for kind in counts for count in kind)])
    return cells


def _compared(rows: Mapping[tuple[str, str, int], Row], sides: Sequence[str]) -> Iterable[str]:
    for peer in (side for side in sides if side.startswith(PEER)):
        for side in (side for side in sides if not side.startswith(PEER)):
            pairs = [
                (row, other)
                for row in rows.values()
                if row.side == side and (other := rows.get((row.problem, peer, row.seed)))
            ]
            if pairs:
                better = sum(row.is_better(other) for row, other in pairs)
                worse = sum(other.is_better(row) for row, other in pairs)
                low, high = share_interval(better, len(pairs))
                yield (
                    f"{side} is better than {peer} in {better} of {len(pairs)} pairs, equal in "
                    f"{len(pairs) - better - worse}, worse in {worse}: {better / len(pairs):.0%} "
                    f"(95 % interval {low:.0%} to {high:.0%}; {WANTED:.0%} is wanted)"
                )


def read_rows(path: Path) -> list[Row]:
    """Those of a file; a line that a crash tore is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.endswith("}"):
            fields = json.loads(line)
            rows.append(Row(**{**fields, "made": [Made(**one) for one in fields["made"]]}))
    return rows


def append(path: Path, row: Row) -> None:
    """After a whole line."""
    with path.open("ab+") as file:
        file.seek(max(0, file.tell() - 1))
        torn = file.read() not in (b"", b"\n")
        file.write((b"\n" if torn else b"") + json.dumps(dataclasses.asdict(row)).encode() + b"\n")


def said_of(feedback: str) -> str:
    """Its beginning, on one line."""
    return " ".join(feedback.split())[:SAID_CHARS]

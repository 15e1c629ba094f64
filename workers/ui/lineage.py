"""The lineages of a job's candidates as a drawing: a column an iteration, a row a lineage, an edge from each candidate
to those that it was made of. SVG of numbers and of names of ours alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.store.board_rows import CandidateLine, IterationLine
from tasks.types import CandidateRef
from workers.wording import score_of

COLUMN, ROW, EDGE = 34, 26, 18
# Rows of a drawing; the candidates of further lineages share the last one.
MOST_ROWS = 40
# Operators that take several candidates, whose edges come from the move and not from one parent.
MERGING = frozenset({"aggregate", "synthesise"})
_KNOWN = frozenset(
    {"draft", "revise", "restart", "aggregate", "synthesise", "mutate", "edit", "vary", "escalate", "inputs", "hint"}
)


def drawing(job: int, iterations: Sequence[IterationLine], candidates: Sequence[CandidateLine]) -> str:
    """The candidates of these iterations; each is a link to its iteration. Empty where there are none."""
    if not candidates:
        return ""
    columns = {line.iteration: place for place, line in enumerate(sorted(iterations, key=lambda i: i.iteration))}
    rows = _rows(candidates)
    places = {line.ref: _place(line, columns, rows) for line in candidates if line.ref.iteration in columns}
    merged = {line.iteration: line.parents for line in iterations if line.operator in MERGING}
    improved = frozenset(
        CandidateRef(iteration=line.iteration, slot=line.best_slot)
        for line in iterations
        if line.improved and line.best_slot is not None
    )
    edges = "".join(_edges(line, places, merged) for line in candidates if line.ref in places)
    nodes = "".join(_node(job, line, places, improved) for line in candidates if line.ref in places)
    labels = "".join(
        f'<text x="{EDGE + COLUMN * (place + 0.5):.0f}" y="12" text-anchor="middle">{number}</text>'
        for number, place in columns.items()
    )
    width, height = 2 * EDGE + COLUMN * len(columns), ROW * (1 + max(rows.values())) + 34
    return (
        f'<svg class="lineage" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="group" aria-label="lineages of the candidates">{labels}{edges}{nodes}</svg>'
    )


def _rows(candidates: Sequence[CandidateLine]) -> Mapping[CandidateRef, int]:
    """The row of each lineage, by its root."""
    rows: dict[CandidateRef, int] = {}
    for line in sorted(candidates, key=lambda candidate: candidate.ref):
        rows.setdefault(line.root, min(len(rows), MOST_ROWS - 1))
    return rows


def _place(line: CandidateLine, columns: Mapping[int, int], rows: Mapping[CandidateRef, int]) -> tuple[float, float]:
    return EDGE + COLUMN * (columns[line.ref.iteration] + 0.5), 30 + ROW * rows[line.root] + (line.ref.slot % 3 - 1) * 5


def _edges(
    line: CandidateLine,
    places: Mapping[CandidateRef, tuple[float, float]],
    merged: Mapping[int, Sequence[CandidateRef]],
) -> str:
    x, y = places[line.ref]
    parents = merged.get(line.ref.iteration) or ((line.parent,) if line.parent else ())
    return "".join(_edge(places.get(parent), x, y) for parent in parents)


def _edge(start: tuple[float, float] | None, x: float, y: float) -> str:
    """From a parent, or from the left edge where it is further back than what is drawn."""
    if start is None:
        return f'<path class="edge far" d="M0 {y:.0f}H{x:.0f}"/>'
    px, py = start
    bend = f"{px + 14:.0f} {py:.0f} {x - 14:.0f} {y:.0f}"
    return f'<path class="edge" d="M{px:.0f} {py:.0f}C{bend} {x:.0f} {y:.0f}"/>'


def _node(
    job: int,
    line: CandidateLine,
    places: Mapping[CandidateRef, tuple[float, float]],
    improved: frozenset[CandidateRef],
) -> str:
    x, y = places[line.ref]
    operator = line.operator if line.operator in _KNOWN else "other"
    marks = ["node", f"op-{operator}"]
    marks += ["accepted"] if line.accepted else ["degenerate"] if line.guard else []
    marks += ["improved"] if line.ref in improved else []
    name = f"candidate {line.ref}, {operator}, score {score_of(line)}"
    return (
        f'<a href="/jobs/{job}/iterations/{line.ref.iteration}#c{line.ref.slot}" aria-label="{name}">'
        f'<circle class="{" ".join(marks)}" cx="{x:.0f}" cy="{y:.0f}" r="{7 if line.ref in improved else 5}">'
        f"<title>{name}</title></circle></a>"
    )

"""Plots as SVG, made of numbers alone: no text of anybody's is in them. Colours are classes of the style sheet.
Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.store.board_rows import CurvePoint
from workers.wording import count, score

WIDTH, HEIGHT = 720, 180
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 24
# A plot of less shows nothing but zero.
SMALLEST = 1e-9
# Points of a series, more of which a screen can't show.
MOST_MARKS = 1_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What a plot's numbers mean: their range, and the texts of its ticks, each with its value."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def height(self, value: float) -> float:
        """Where a value lies, in the plot's units from its top."""
        span = (self.high - self.low) or 1.0
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (min(max(value, self.low), self.high) - self.low) / span)


def bars(title: str, values: Sequence[float], labels: Sequence[tuple[int, str]], *, limit: float | None = None) -> str:
    """Values over time, one bar a stretch, from zero; `labels` name stretches by their numbers, `limit` is drawn as a
    line where it is known."""
    top = _round_up(max([*values, limit or 0.0]))
    axis = Axis(low=0.0, high=top, ticks=((0.0, "0"), (top / 2, _short(top / 2)), (top, _short(top))))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    floor = axis.height(0.0)
    shapes = "".join(
        f"M{LEFT + index * step:.1f} {floor:.1f}V{axis.height(value):.1f}h{step * 0.82:.1f}V{floor:.1f}Z"
        for index, value in enumerate(values)
        if value > 0
    )
    drawn = f'<path class="bar" d="{shapes}"/>' if shapes else ""
    if limit:
        drawn += f'<path class="limit" d="M{LEFT} {axis.height(limit):.1f}H{WIDTH - RIGHT}"/>'
    places = [(LEFT + (index + 0.5) * step, label) for index, label in labels]
    return _plot(title, axis, places, drawn)


def curves(title: str, jobs: Sequence[Sequence[CurvePoint]]) -> str:
    """The best candidate of each iteration as a point and the best so far as a line, for each job: values where any has
    them, else scores from 0 to 1."""
    by_value = any(point.value is not None for points in jobs for point in points)
    heights = [_heights(points, by_value=by_value) for points in jobs]
    axis = _axis([height for series in heights for height in series if height is not None], by_value=by_value)
    last = max((points[-1].iteration for points in jobs if points), default=1)
    scale = (WIDTH - LEFT - RIGHT) / max(1, last)
    drawn = "".join(
        _series(points, series, axis, scale, number, by_value=by_value)
        for number, (points, series) in enumerate(zip(jobs, heights, strict=True))
    )
    step = max(1, math.ceil(last / 8))
    places = [(LEFT + (number - 0.5) * scale, str(number)) for number in range(1, last + 1, step)]
    return _plot(title, axis, places, drawn)


def _heights(points: Sequence[CurvePoint], *, by_value: bool) -> list[float | None]:
    return [point.value if by_value else (point.score or 0.0) for point in points]


def _axis(values: Sequence[float], *, by_value: bool) -> Axis:
    if not by_value:
        return Axis(low=0.0, high=1.0, ticks=((0.0, "0"), (0.5, "0.5"), (1.0, "1")))
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    middle = low / 2 + high / 2
    ticks = [(value, score(None, value)) for value in ((low, middle, high) if low < high else (low,))]
    return Axis(low=low, high=high if high > low else low + 1.0, ticks=tuple(ticks))


def _series(
    points: Sequence[CurvePoint],
    heights: Sequence[float | None],
    axis: Axis,
    scale: float,
    number: int,
    *,
    by_value: bool,
) -> str:
    """Points as one path of dots, and the best so far as steps."""
    places = [LEFT + (point.iteration - 0.5) * scale for point in points]
    thinned = max(1, math.ceil(len(points) / MOST_MARKS))
    dots = "".join(
        f"M{x:.1f} {axis.height(y):.1f}h0"
        for index, (x, y) in enumerate(zip(places, heights, strict=True))
        if y is not None and math.isfinite(y) and index % thinned == 0
    )
    best = _best(points, heights, by_value=by_value)
    steps, before = [], None
    for x, y in zip(places, best, strict=True):
        if y is not None and math.isfinite(y) and y != before:
            steps.append(f"M{x:.1f} {axis.height(y):.1f}" if before is None else f"H{x:.1f}V{axis.height(y):.1f}")
            before = y
    line = "".join(steps) + (f"H{places[-1]:.1f}" if steps else "")
    return f'<path class="dots s{number % 8}" d="{dots}"/><path class="best s{number % 8}" d="{line}"/>'


def _best(points: Sequence[CurvePoint], heights: Sequence[float | None], *, by_value: bool) -> list[float | None]:
    """The incumbent's height after each iteration: of values only the job knows which is the better one."""
    best: list[float | None] = []
    current: float | None = None
    for point, height in zip(points, heights, strict=True):
        if by_value:
            current = height if point.improved and height is not None else current
        else:
            current = max(current or 0.0, height or 0.0)
        best.append(current)
    return best


def _plot(title: str, axis: Axis, places: Sequence[tuple[float, str]], inner: str) -> str:
    grid = "".join(
        f'<path class="grid" d="M{LEFT} {axis.height(value):.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 6}" y="{axis.height(value) + 4:.1f}" text-anchor="end">{label}</text>'
        for value, label in axis.ticks
    )
    under = "".join(f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{label}</text>' for x, label in places)
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{grid}{under}{inner}</svg>'
    )


def _short(value: float) -> str:
    return count(round(value)) if value >= 10 or value == int(value) else f"{value:.2g}"


def _round_up(value: float) -> float:
    """The next number of one digit, so that ticks are short."""
    if value < SMALLEST:
        return 1.0
    scale: float = 10 ** math.floor(math.log10(value))
    return next(scale * step for step in (1, 2, 4, 5, 6, 8, 10) if scale * step >= value * 0.999)

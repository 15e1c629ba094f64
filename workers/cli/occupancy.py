"""When an engine wrote for jobs and when their checks ran, and what share of the time that is: the query over the
documented views, and what follows from its rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# A beginning and an end, in seconds of the database's clock.
Span = tuple[float, float]
ENGINE, CHECKS = "engine", "checks"
STRETCHES = 60
WIDTH, ROW, LEFT, RIGHT, FOOT = 720, 44, 64, 10, 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """The spans in which calls were under way and in which checks ran: each in its order, none touching the next."""

    engine: Sequence[Span]
    checks: Sequence[Span]

    @property
    def whole(self) -> Span:
        """From the first beginning to the last end."""
        spans = [*self.engine, *self.checks]
        return min(begin for begin, _ in spans), max(end for _, end in spans)

    @property
    def both(self) -> Sequence[Span]:
        """The spans in which both were at work."""
        return [
            (max(begin, other), min(end, until))
            for begin, end in self.engine
            for other, until in self.checks
            if max(begin, other) < min(end, until)
        ]

    def share(self, spans: Sequence[Span]) -> float:
        """Of the whole time, in [0, 1]."""
        begin, end = self.whole
        return seconds(spans) / (end - begin) if end > begin else 0.0


def query(jobs: Iterable[int]) -> str:
    """Rows of (engine or checks, beginning, end), overlapping spans joined. The checks of a candidate are recorded
    together when the last one has ended; judges' seconds are those of their calls."""
    chosen = ", ".join(f"{int(job)}" for job in jobs)
    return f"""
        WITH work (lane, until, seconds) AS (
            SELECT '{ENGINE}', created_at, seconds FROM call_history WHERE job IN ({chosen})
            UNION ALL
            SELECT '{CHECKS}', max(created_at), sum(seconds) FROM verdict_history
            WHERE job IN ({chosen}) AND kind <> 'judge' GROUP BY job, iteration, slot
        ), spans AS (
            SELECT lane, unnest(range_agg(tstzrange(until - make_interval(secs => seconds), until))) AS span
            FROM work WHERE seconds > 0 GROUP BY lane
        )
        SELECT lane, extract(epoch FROM lower(span))::float, extract(epoch FROM upper(span))::float
        FROM spans ORDER BY lower(span)"""  # noqa: S608 - numbers


def occupancy(rows: Iterable[Sequence[object]]) -> Occupancy | None:
    """What the query's rows say; None where nothing ran."""
    spans: dict[str, list[Span]] = {ENGINE: [], CHECKS: []}
    for lane, begin, end in rows:
        spans[str(lane)].append((float(str(begin)), float(str(end))))
    return Occupancy(engine=spans[ENGINE], checks=spans[CHECKS]) if any(spans.values()) else None


def words(one: Occupancy) -> str:
    """How busy both were, in a sentence without its end."""
    engine, checks, both = (f"{one.share(spans):.0%}" for spans in (one.engine, one.checks, one.both))
    return f"the engine was at work {engine} of the time, checks ran {checks} of it, both at once {both}"


def stretches(spans: Sequence[Span], whole: Span, count: int = STRETCHES) -> list[float]:
    """The share of each of `count` equal stretches of `whole` that the spans fill, each in [0, 1]."""
    begin, end = whole
    step = (end - begin) / count
    filled = [0.0] * count
    for start, until in spans if step else ():
        for number in range(int((start - begin) / step), min(count, int((until - begin) / step) + 1)):
            low, high = begin + number * step, begin + (number + 1) * step
            filled[number] += max(0.0, min(until, high) - max(start, low)) / step
    return filled


def plot(one: Occupancy) -> str:
    """Two rows of bars over the time, as SVG."""
    rows = [(ENGINE, "line", one.engine), (CHECKS, "warm", one.checks)]
    height = ROW * len(rows) + FOOT
    step, drawn = (WIDTH - LEFT - RIGHT) / STRETCHES, []
    for number, (name, colour, spans) in enumerate(rows):
        floor = ROW * (number + 1)
        bars = "".join(
            f"M{LEFT + place * step:.1f} {floor}v{-share * (ROW - 8):.1f}h{step:.1f}V{floor}z"
            for place, share in enumerate(stretches(spans, one.whole))
            if share > 0
        )
        drawn.append(f'<text x="{LEFT - 6}" y="{floor - 4}" text-anchor="end">{name}</text>')
        drawn.append(f'<path d="{bars}" fill="var(--{colour})"/>' if bars else "")
        drawn.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}" stroke="var(--grid)"/>')
    begin, end = one.whole
    drawn.append(f'<text x="{LEFT}" y="{height - 4}">0 s</text>')
    drawn.append(f'<text x="{WIDTH - RIGHT}" y="{height - 4}" text-anchor="end">{end - begin:.0f} s</text>')
    title = "engine and checks over time"
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}"><title>{title}</title>'
        f"{''.join(drawn)}</svg>"
    )


def seconds(spans: Sequence[Span]) -> float:
    """Of all spans together."""
    return sum(end - begin for begin, end in spans)

"""`make bench-queue`: dispatch with a long queue, what its rules do in a simulated night, and its cost beside DBOS and
procrastinate on the same Postgres. Prints tables; needs no engine. A part alone: `--only claims`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from bench import table
from dispatch import claims, simulation
from dispatch.bench_postgres import BenchPostgres, bench_postgres
from dispatch.volume import Volume

Part = Callable[[BenchPostgres, float], None]


def claim_part(around: BenchPostgres, scale: float) -> None:
    """The claim, the submission and the crowd, at `scale` of the full volume."""
    volumes = [
        Volume(queued=max(1_000, int(10_000 * scale)), owners=owners, past_iterations=int(1_000_000 * scale))
        for owners in (50, 1)
    ]
    volumes.append(Volume(queued=1_000, past_iterations=int(100_000 * scale)))
    filled = [claims.prepare(around, f"volume{number}", volume) for number, volume in enumerate(volumes)]
    print(
        table(
            ("queued", "owners", "past iterations", "claim p50 ms", "p95 ms", "one-row update p50 ms", "p95 ms"),
            [claims.claim_row(one, max(20, int(500 * scale))) for one in filled],
        )
    )
    print(
        table(
            ("jobs in one submission", "seconds", "jobs/s", "jobs/s one by one"),
            [claims.submit_row(around, filled[0], int(10_000 * scale))],
        )
    )
    print(
        table(
            (
                *("workers", "connections", "claims/s", "claim p50 ms", "p95 ms", "p95 ms with the wait for one"),
                *("cores of clients", "of Postgres", "it waited most for"),
            ),
            list(claims.crowd_rows(around, filled[0], scale)),
        )
    )


def simulation_part(around: BenchPostgres, scale: float) -> None:
    """What fairness, ageing and affinity do, at `scale` of the full length."""
    hours = [f"hours {2 * n * scale:g}-{2 * (n + 1) * scale:g}" for n in range(4)]
    print(table(("engine hours of", "jobs", *hours), simulation.fairness_rows(around, scale)))
    print(
        table(
            ("priority", "begins after h, by the rule", "began after h", "urgent ones before it"),
            simulation.ageing_rows(around, scale),
        )
    )
    print(
        table(
            ("affinity", "turns", "of begun jobs", "on the worker of the last turn", "workers busy"),
            simulation.affinity_rows(around, scale),
        )
    )


PARTS: Mapping[str, Part] = {"claims": claim_part, "simulation": simulation_part}


def main(arguments: list[str] | None = None) -> None:
    """Every part, or one; at `--scale` of the full volume."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args(arguments)
    with bench_postgres() as around:
        for name, part in PARTS.items():
            if given.only in (None, name):
                part(around, given.scale)


if __name__ == "__main__":
    main()

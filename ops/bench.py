"""`make bench`: what Redraft costs on top of its engine when one job is alone. Prints tables.

Runs its own stack with SmolLM2 on the processor: submit-to-first-claim, and the overhead of an iteration outside model
and checks. Many jobs at once are `ops/bench_engine.py`.
"""

from __future__ import annotations

import argparse
import statistics

from figures import quantile, table
from rig import Rig, running

PROBES = 20
MODELS = ("smollm2-135m", "smollm2-135m-q4")


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default=MODELS[0], help="by vLLM, or by llama.cpp")
    with running(parser.parse_args().model) as rig:
        rig.run_jobs(1, seed=0)  # warm
        print(table(("submit to first claim", "median ms", "p95 ms", "n"), [claim_latency(rig)]))
        print(table(("an iteration", "median ms", "model ms", "checks ms", "overhead ms", "share"), [overhead(rig)]))


def claim_latency(rig: Rig) -> tuple[str, ...]:
    """From the commit of a submission to the claim, by the database's clock, one job at a time."""
    waits = []
    for number in range(PROBES):
        job = rig.run_jobs(1, seed=number, iterations=1)[0]
        row = rig.query("SELECT extract(epoch FROM started_at - submitted_at) AS s FROM jobs WHERE id = %s", job)[0]
        waits.append(float(row["s"]) * 1000)
    return "one idle worker", f"{statistics.median(waits):.0f}", f"{quantile(waits, 0.95):.0f}", str(len(waits))


def overhead(rig: Rig) -> tuple[str, ...]:
    """What an iteration of one job takes beyond its model calls and its checks."""
    job = rig.run_jobs(1, seed=1, iterations=12, strategy="best_of_n")[0]
    rows = rig.query(
        """SELECT extract(epoch FROM i.finished_at - i.started_at) AS whole,
                  (SELECT max(c.seconds) FROM calls c
                   WHERE c.job_id = i.job_id AND c.iteration = i.number) AS model,
                  (SELECT coalesce(sum(v.seconds), 0) FROM verdicts v
                   WHERE v.job_id = i.job_id AND v.iteration = i.number) AS checks
           FROM iterations i WHERE i.job_id = %s AND i.finished_at IS NOT NULL""",
        job,
    )
    whole, model, checks = ([float(row[name]) * 1000 for row in rows] for name in ("whole", "model", "checks"))
    extra = [w - m - c for w, m, c in zip(whole, model, checks, strict=True)]
    share = sum(extra) / sum(whole)
    middle = [f"{statistics.median(values):.0f}" for values in (whole, model, checks, extra)]
    return f"best_of_n, {len(rows)} of them", *middle, f"{share:.1%}"


if __name__ == "__main__":
    main()

"""`make bench`: what Redraft costs on top of its engine when one job is alone, and whether generation and evaluation
overlap when several run. Prints tables.

Runs its own stack with SmolLM2 on the processor: submit-to-first-claim, the overhead of an iteration outside model and
checks, and the shares of the time in which the engine and the lane `check` are at work. Many jobs at once beside a
plain client are `ops/bench_engine.py`.
"""

from __future__ import annotations

import argparse
import statistics

from figures import quantile, table
from rig import STORY, Rig, running

from tasks.types import Budget, CheckSpec, Egress, JobSpec
from workers.cli.occupancy import occupancy, query

PROBES = 20
# Jobs with a score at once, of so many iterations, whose evaluator takes so long.
JOBS = (1, 2, 4)
ITERATIONS = 8
EVALUATOR = "import time; time.sleep(2); print(1)"
MODELS = ("smollm2-135m", "smollm2-135m-q4")


def main() -> None:
    """The tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default=MODELS[0], help="by vLLM, or by llama.cpp")
    with running(parser.parse_args().model) as rig:
        rig.run_jobs(1, seed=0)  # warm
        print(table(("submit to first claim", "median ms", "p95 ms", "n"), [claim_latency(rig)]))
        print(table(("an iteration", "median ms", "model ms", "checks ms", "overhead ms", "share"), [overhead(rig)]))
        rows = [busy(rig, jobs) for jobs in JOBS]
        print(table(("jobs with a score", "engine busy", "checks busy", "both", "candidates", "seconds"), rows))


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


def busy(rig: Rig, jobs: int) -> tuple[str, ...]:
    """The shares of the time in which the engine wrote and in which evaluators ran, for so many jobs at once."""
    value = {"command": ["python", "evaluate.py", "{candidate}"], "goal": "maximise", "stages": []}
    check = CheckSpec(
        name="score:evaluate",
        kind="score",
        value={**value, "repeats": 1, "noise": 0.0, "cores": "shared"},
        files={"evaluate.py": EVALUATOR},
    )
    ran = rig.run(
        [
            JobSpec(
                title="bench",
                problem=STORY.format(number=number),
                checks=(check,),
                strategy="best_of_n",
                budget=Budget(iterations=ITERATIONS),
                egress=Egress.NEVER,
                memory=False,
                seed=number,
            )
            for number in range(jobs)
        ]
    )
    one = occupancy(rig.sql(query(job.id for job in ran)))
    assert one is not None, "the jobs had candidates"
    begin, end = one.whole
    shares = [f"{one.share(spans):.0%}" for spans in (one.engine, one.checks, one.both)]
    candidates = sum(len(iteration.candidates) for job in ran for iteration in job.history)
    return str(jobs), *shares, str(candidates), f"{end - begin:.0f}"


if __name__ == "__main__":
    main()

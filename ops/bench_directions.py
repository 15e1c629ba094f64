"""What each direction of a change is worth: `python ops/bench_directions.py --endpoint http://…/v1 --model NAME`.

`evolve` and `climb` tell a model in turn how to change an answer (`tasks/prompts/mutating.py`). Each direction is asked
here for `--samples` changes of every answer to begin with: the simple starts of `make bench-evolve`, and the baselines
of the same examples. Printed are the completion tokens of an answer, how many are valid, how many have just the value
of their parent, how many are better, and the better ones per 1,000 tokens; and of how many invalid ones a repair
without a model (`tasks/edits/program_repair.py`) is valid, and better than the parent. `--directions` measures others.
Nothing of it is kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, product

from evolve_problems import job_of, problems
from figures import share_interval, table

from tasks.edits import repairs_of
from tasks.heartbeat import SilentHeartbeat
from tasks.policy.variation import REPAIRED_SECONDS, VARIANTS
from tasks.ports import ChatModel, Checks
from tasks.prompts import mutating
from tasks.sampling import Sampling
from tasks.scoring import fitness_of
from tasks.settings import load_settings
from tasks.types import Candidate, CandidateRef, Job, Operator, unstored_job
from workers.bench.record import draft_request, draft_seed
from workers.cli.bench_parts import checks_of, model_of
from workers.packaged import ops

FIRST = CandidateRef(iteration=1, slot=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """An answer to begin with."""

    name: str
    job: Job
    candidate: Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One change: its completion tokens, its fitness (None where it is invalid) and that of its parent; of an invalid
    one also the best fitness of its repairs."""

    parent: str
    direction: str
    tokens: int
    fitness: float | None
    before: float
    repaired: float | None = None


def main() -> None:
    """Two tables: by direction, and by parent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True, help="the base URL of an engine, ending in /v1")
    parser.add_argument("--model", required=True)
    parser.add_argument("--problems", nargs="+", choices=(known := [p.name for p in problems()]), default=known)
    parser.add_argument("--samples", type=int, default=8, help="changes of each parent in each direction")
    parser.add_argument("--parallel", type=int, default=32, help="requests at once")
    parser.add_argument("--directions", nargs="+", default=list(mutating.DIRECTIONS), metavar="TEXT")
    given = parser.parse_args()
    settings = load_settings()
    model, sampling, _ = model_of(settings, given.endpoint, given.model)
    checks = checks_of(settings)
    wanted = list(product(parents(checks, given.problems), given.directions, range(given.samples)))
    with ThreadPoolExecutor(given.parallel) as executor:
        made = []
        for sample in executor.map(lambda one: change(model, sampling, checks, *one), wanted):
            made.append(sample)
            if len(made) % 50 == 0:
                print(f"{len(made)} of {len(wanted)}", file=sys.stderr)
    print(_table("direction", [(one, [s for s in made if s.direction == one]) for one in given.directions]))
    names = dict.fromkeys(sample.parent for sample in made)
    print(_table("parent", [(one, [s for s in made if s.parent == one]) for one in names]))


def parents(checks: Checks, names: Sequence[str]) -> Sequence[Parent]:
    """The starts of the problems of these names, and the baselines that differ from them."""
    found = []
    for problem in problems():
        if problem.name not in names:
            continue
        [baseline] = ops("examples").joinpath(problem.name).glob("baseline.*")
        texts = dict.fromkeys((problem.start, baseline.read_text()))
        for text, name in zip(texts, ("start", "baseline"), strict=False):
            job = unstored_job(job_of(problem))
            verdicts = checks.validate(text, job.spec.checks, SilentHeartbeat())
            fitness = fitness_of(verdicts, job.spec.checks)
            assert fitness is not None, f"{problem.name}: {verdicts}"
            candidate = Candidate(
                ref=FIRST, operator=Operator.START, text=text, root=FIRST, verdicts=verdicts, fitness=fitness
            )
            found.append(Parent(name=f"{problem.name}, {name}", job=job, candidate=candidate))
    return found


def change(model: ChatModel, sampling: Sampling, checks: Checks, parent: Parent, direction: str, number: int) -> Sample:
    """Asks for one change, and evaluates it."""
    prompt = mutating.mutate(parent.job, mutating.Change(parent=parent.candidate, direction=direction))
    request = draft_request(prompt, sampling, draft_seed(f"{parent.name}, {direction}", number))
    completion = model.complete(request, SilentHeartbeat())
    before = parent.candidate.fitness
    assert before is not None, "parents are valid"

    def measured(text: str) -> float | None:
        verdicts = checks.validate(text, parent.job.spec.checks, SilentHeartbeat())
        return fitness_of(verdicts, parent.job.spec.checks)

    fitness, found, begun = None, [], time.monotonic()
    if completion.guard is None:
        fitness = measured(completion.text)
        if fitness is None and time.monotonic() - begun <= REPAIRED_SECONDS:
            found = [measured(text) for text in islice(repairs_of(completion.text), VARIANTS)]
    return Sample(
        parent=parent.name,
        direction=direction,
        tokens=completion.completion_tokens,
        fitness=fitness,
        before=before,
        repaired=max((one for one in found if one is not None), default=None),
    )


def _table(what: str, groups: Sequence[tuple[str, Sequence[Sample]]]) -> str:
    rows = []
    for name, samples in groups:
        valid = [sample for sample in samples if sample.fitness is not None]
        equal = sum(sample.fitness == sample.before for sample in valid)
        better = sum(sample.fitness > sample.before for sample in valid if sample.fitness is not None)
        tokens = sum(sample.tokens for sample in samples)
        repaired = [sample for sample in samples if sample.repaired is not None]
        repaired_better = sum(sample.repaired > sample.before for sample in repaired if sample.repaired is not None)
        low, high = share_interval(better, len(samples))
        rows.append(
            (
                name,
                str(len(samples)),
                f"{tokens / len(samples):.0f}",
                f"{len(valid) / len(samples):.0%}",
                f"{equal / len(samples):.0%}",
                f"{better / len(samples):.1%} ({low:.1%} to {high:.1%})",
                f"{1000 * better / tokens:.2f}",
                f"{len(repaired)} of {len(samples) - len(valid)}",
                str(repaired_better),
            )
        )
    head = (
        what,
        "changes",
        "tokens",
        "valid",
        "equal",
        "better (95 %)",
        "better per 1,000 tokens",
        "repaired",
        "then better",
    )
    return table(head, rows)


if __name__ == "__main__":
    main()

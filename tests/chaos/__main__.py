"""`make chaos`: rounds of faults on the real services, by a seed, for Redraft and for plain Celery beside it; prints
their table.

Exits 1 where anything of Redraft's was lost, doubled or diverged.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos import report
from tests.chaos.contestant import Contestant
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.fleet import services
from tests.chaos.owned import KINDS, Owned, of_the_stack
from tests.chaos.plain import PlainCelery
from tests.chaos.redraft import Redraft
from tests.chaos.rounds import Arena, Round

# A job that kills whoever takes it comes last: plain Celery is never rid of it.
LAST = "a poison job"


def sequence(seed: int, rounds: int, names: Sequence[str] = ()) -> list[Fault]:
    """Every fault once, shuffled, then again, until there are as many rounds."""
    chance, faults = random.Random(seed), [FAULTS[name] for name in names or FAULTS]
    chosen: list[Fault] = []
    while len(chosen) < rounds:
        chosen += chance.sample(faults, len(faults))
    return sorted(chosen[:rounds], key=lambda fault: fault.name == LAST)


def play(contestant: Contestant, faults: Sequence[Fault], seed: int) -> list[Round]:
    """The rounds of one contestant, after a run without faults."""
    arena = Arena(contestant, random.Random(seed), lambda line: say(f"{contestant.name}: {line}"))
    with contextlib.ExitStack() as ended:
        ended.callback(contestant.stop)
        contestant.start()
        if found := arena.reference():
            raise SystemExit(f"{contestant.name} fails without a fault: {found}")
        contestant.learn()
        try:
            for number, fault in enumerate(faults, start=1):
                say(f"{contestant.name}: {number} of {len(faults)}")
                arena.play(fault)
        except KeyboardInterrupt:
            say("interrupted; the tables are of the rounds so far")
        return arena.settled()


def shared_with_celery(seed: int, rounds: int | None) -> list[Fault]:
    """Those that hit a part which plain Celery has, too: each once, or as many `rounds`."""
    shared = [name for name, fault in FAULTS.items() if not fault.ours]
    return sequence(seed, len(shared) if rounds is None else rounds, shared)


def show(files: Sequence[Path]) -> int:
    """Prints the tables of results files; the exit code."""
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    rounds = [(row.pop("of"), report.read(row)) for row in rows]
    beside = [one for of, one in rounds if of == PlainCelery.name]
    ours = [one for of, one in rounds if of != PlainCelery.name]
    print(f"{report.table(ours, beside)}\n\n{report.verdict(ours)}\n{report.charges(ours)}")
    return 1 if any(one.charges for one in ours) else 0


def say(line: str) -> None:
    """A line for whoever looks on."""
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="of faults and jobs; a new one where left out")
    parser.add_argument("--only", action="append", default=[], choices=sorted(FAULTS), help="a fault, again for more")
    parser.add_argument("--owner-rounds", type=int, default=len(KINDS), help="of a stack that has an owner")
    parser.add_argument("--celery-rounds", type=int, default=None, help="each fault once where left out; 0: none")
    parser.add_argument("--out", type=Path, default=None, help="the results file; chaos-SEED.jsonl where left out")
    parser.add_argument(
        "--show", type=Path, action="append", help="prints the tables of a results file; again for more"
    )
    given = parser.parse_args()
    if given.show:
        return show(given.show)
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**31)
    out = given.out or Path(f"chaos-{seed}.jsonl")
    faults, shared = sequence(seed, given.rounds, given.only), shared_with_celery(seed, given.celery_rounds)
    kinds = list(itertools.islice(itertools.cycle(KINDS), given.owner_rounds))
    say(f"seed {seed}; the rounds are in {out} once their contestant is through")
    with tempfile.TemporaryDirectory(prefix="redraft-chaos-") as folder, services(Path(folder)) as made:
        for make, chosen in ((Redraft, faults), (Owned, [of_the_stack(kind) for kind in kinds]), (PlainCelery, shared)):
            rounds = play(make(made), chosen, seed) if chosen else []
            with out.open("a") as file:
                file.writelines(json.dumps({"of": make.name, **dataclasses.asdict(one)}) + "\n" for one in rounds)
    return show([out])


if __name__ == "__main__":
    sys.exit(main())

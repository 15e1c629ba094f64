"""`make chaos`: rounds of faults on the real services, by a seed, for Redraft and for plain Celery beside it; prints
their table.

Exits 1 where anything of Redraft's was lost, doubled or diverged.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos import report
from tests.chaos.contestant import Contestant
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.fleet import Services, services
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


def of_the_owner(made: Services, seed: int, rounds: int) -> list[Round]:
    """Rounds of the faults that need a stack with its owner."""
    kinds = [kind for _, kind in zip(range(rounds), itertools.cycle(KINDS), strict=False)]
    return play(Owned(made), [of_the_stack(kind) for kind in kinds], seed) if kinds else []


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


def shared_with_celery(faults: Sequence[Fault], rounds: int | None) -> list[Fault]:
    """Those that hit a part which plain Celery has, too: each once, or the first `rounds` of the sequence."""
    shared = [fault for fault in faults if not fault.ours]
    return list({fault.name: fault for fault in shared}.values()) if rounds is None else shared[:rounds]


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
    parser.add_argument("--celery-rounds", type=int, default=None, help="each fault once where left out")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(2**31)
    faults = sequence(seed, given.rounds, given.only)
    beside: list[Round] = []
    with tempfile.TemporaryDirectory(prefix="redraft-chaos-") as folder, services(Path(folder)) as made:
        say(f"seed {seed}, {len(faults)} rounds")
        ours = play(Redraft(made), faults, seed)
        ours += of_the_owner(made, seed, given.owner_rounds)
        shared = shared_with_celery(faults, given.celery_rounds)
        if shared:
            beside = play(PlainCelery(made), shared, seed)
    print(f"seed {seed}\n\n{report.table(ours, beside)}\n\n{report.verdict(ours)}\n{report.charges(ours)}")
    return 1 if any(one.charges for one in ours) else 0


if __name__ == "__main__":
    sys.exit(main())

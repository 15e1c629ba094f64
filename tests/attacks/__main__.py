"""`make attack`: every attack on real parts, and how many of each area were stopped. Exits 1 where one got through.

`--area NAME` chooses some; `--every N` makes each Nth only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.attacks.suite import AREAS, Outcome, attacks, tried


def main() -> int:
    """Tries them, prints what got through as it happens, then the table."""
    parser = argparse.ArgumentParser(prog="make attack", description=__doc__)
    parser.add_argument("--area", action="append", choices=AREAS, help="only these")
    parser.add_argument("--every", type=int, default=1, help="only each Nth of an area")
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="attacks-", ignore_cleanup_errors=True) as folder:
        outcomes = []
        for attack in attacks(Path(folder), options.area or AREAS, options.every):
            outcome = tried(attack)
            outcomes.append(outcome)
            if outcome.through is not None:
                print(f"THROUGH  {outcome.area}: {outcome.name}: {outcome.through}", flush=True)
    _print_table(outcomes)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if any(outcome.through is not None for outcome in outcomes) or not outcomes else 0


def _print_table(outcomes: list[Outcome]) -> None:
    print(f"{'area':<12}{'tried':>8}{'stopped':>9}{'through':>9}")
    for area in [*dict.fromkeys(outcome.area for outcome in outcomes), "all"]:
        of_area = [outcome for outcome in outcomes if area in (outcome.area, "all")]
        through = sum(outcome.through is not None for outcome in of_area)
        print(f"{area:<12}{len(of_area):>8}{len(of_area) - through:>9}{through:>9}")


if __name__ == "__main__":
    sys.exit(main())

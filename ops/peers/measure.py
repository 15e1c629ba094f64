"""What each peer's script shares: its command line, and threads that each do a thing until there is none left."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

CLAIMERS = 4


def drain(claimers: Sequence[Callable[[], bool]]) -> dict[str, object]:
    """Each of `claimers` in a thread of its own, called until it returns False; seconds of each call that claimed."""

    def one(claim: Callable[[], bool]) -> list[float]:
        taken = []
        while True:
            begun = time.perf_counter()
            if not claim():
                return taken
            taken.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    with ThreadPoolExecutor(len(claimers)) as pool:
        each = [seconds for taken in pool.map(one, claimers) for seconds in taken]
    return {"seconds": time.perf_counter() - begun, "each": each}


def main(measures: Mapping[str, Callable[[str, int], dict[str, object]]]) -> None:
    """`SCRIPT MEASURE URL COUNT` prints one line of JSON."""
    name, url, count = sys.argv[1:4]
    print(json.dumps(measures[name](url, int(count))))

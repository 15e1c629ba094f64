"""What each filter of the sampler costs an engine: `python ops/bench_sampling.py --endpoint http://…/v1 --model NAME`.

The same streams of `--tokens` tokens, all at once, with one filter after the other; nothing of Redraft takes part.
Prints tokens/s, a median over `--rounds`, and the ratio to the first row with its interval over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from typing import Any

from bench_engine import send_all
from figures import interval, table

PROMPT = "Write a story about the number {number}."
FILTERS: dict[str, dict[str, Any]] = {
    "a seed": {},
    "and top-k 20": {"top_k": 20},
    "and top-k 64": {"top_k": 64},
    "and top-p 0.95": {"top_p": 0.95},
    "and both, 64 and 0.95": {"top_k": 64, "top_p": 0.95},
}


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True, help="the base URL of an engine, ending in /v1")
    parser.add_argument("--model", required=True)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64, help="of each stream")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rates: dict[str, list[float]] = {name: [] for name in FILTERS}
    for number in range(given.rounds):
        for name, fields in FILTERS.items():
            rates[name].append(_rate(given, fields))
            print(f"round {number + 1}, {name}: {rates[name][-1]:.0f} tok/s", file=sys.stderr)
    plain = next(iter(rates.values()))
    rows = []
    for name, measured in rates.items():
        low, middle, high = interval([one / other for one, other in zip(measured, plain, strict=True)])
        rows.append((name, f"{statistics.median(measured):.0f}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}"))
    print(table(("temperature 0.8", "tok/s", "of the first", f"95 % of {given.rounds} rounds"), rows))


def _rate(given: argparse.Namespace, fields: dict[str, Any]) -> float:
    calls = [
        {
            "messages": [{"role": "user", "content": PROMPT.format(number=number)}],
            "temperature": 0.8,
            "seed": number,
            "max_tokens": given.tokens,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
            **fields,
        }
        for number in range(given.streams)
    ]
    begun = time.monotonic()
    tokens = asyncio.run(send_all(given.endpoint, given.model, [[[[call]]] for call in calls]))
    return tokens / (time.monotonic() - begun)


if __name__ == "__main__":
    main()

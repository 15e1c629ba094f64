"""Ordinary texts that look repetitive and are none of the guard's business, from generators of our own.

Each generator is a function of a random source; most texts are 400 to 16,000 characters, as answers are.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.corpus import made_code, made_data, made_reasoning, made_text
from tests.corpus.samples import Sample, seeded

MAKERS = {**made_code.MAKERS, **made_data.MAKERS, **made_reasoning.MAKERS, **made_text.MAKERS}


def ordinary(count: int, seed: int = 0) -> Iterator[Sample]:
    """`count` texts, spread evenly over the generators."""
    makers = sorted(MAKERS.items())
    for number in range(count):
        kind, make = makers[number % len(makers)]
        name = f"{kind}/{number // len(makers)}"
        yield Sample(name=name, kind=kind, text=make(random.Random(seeded(seed, name))))

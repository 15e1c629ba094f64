"""Loops whose copies are never equal: sentences in ever another order, words swapped for others, counters within one
paragraph, random figures, near-copies. A form gives copy after copy."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.corpus import words

Copies = Callable[[int], str]
DOUBTS = [
    "Hold on, the total looks off. ",
    "Let me go over the list once more. ",
    "The task wants one number only. ",
    "Then again, a fraction might be allowed. ",
    "I'd rather settle on {a}. ",
    "No, {b} is closer. ",
    "So the final answer is {a}. ",
    "Is the last digit rounded? ",
    "That was already clear before. ",
    "Perhaps the table starts at zero. ",
    "Fine, I keep {b}. ",
    "But the user asked for the short form. ",
]
SWAPS = (
    ("check", "verify", "inspect", "confirm", "review"),
    ("list", "table", "array", "input", "file"),
    ("again", "once more", "carefully", "a second time"),
    ("wrong", "missing", "incomplete", "too large"),
    ("before", "unless", "although", "because"),
)


def doubts(rng: random.Random) -> Copies:
    """A model that cannot make up its mind, in any order, with the same few numbers."""
    a, b = f"{rng.uniform(1, 99):.2f}", f"{rng.uniform(1, 999):.3f}"
    said = [doubt.format(a=a, b=b) for doubt in rng.sample(DOUBTS, rng.randint(4, len(DOUBTS)))]
    return lambda n: rng.choice(said)


def shuffled_many(rng: random.Random) -> Copies:
    """Up to fourteen sentences, drawn at random, in one paragraph or several."""
    sentences, end = [words.sentence(rng) for _ in range(rng.randint(5, 14))], rng.choice((" ", "\n", "\n\n"))
    return lambda n: rng.choice(sentences) + end


def synonyms(rng: random.Random) -> Copies:
    """One sentence whose words are swapped for others of their sort."""
    form = rng.choice(
        (
            "Wait, I must {0} the {1} {2}, {4} it may be {3}. ",
            "So we {0} the {1} {2} {4} something is {3}.\n",
            "Now {0} that no {1} is {3}, {4} the loop goes over it {2}. ",
        )
    )
    return lambda n: form.format(*(rng.choice(group) for group in SWAPS))


def reworded(rng: random.Random) -> Copies:
    """A sentence of three clauses in any order, with any link between them."""
    clauses = [words.clause(rng) for _ in range(3)]
    links = rng.sample(words.LINKS, 3)
    return lambda n: f" {rng.choice(links)} ".join(rng.sample(clauses, 3)).capitalize() + ". "


def counters(rng: random.Random) -> Copies:
    """Two counters of one pace in a paragraph that never ends."""
    begin, deed = rng.randint(1, 50), words.clause(rng)
    form = rng.choice(
        (
            "Step {n}: {deed}, then go to step {m}. ",
            "In round {n} {deed}; in round {m} it is the same. ",
            "At {n} {deed} and so on to {m}. ",
            "Iteration {n} is done, {deed}, now iteration {m} … ",
        )
    )
    return lambda n: form.format(n=begin + n, m=begin + n + 1, deed=deed)


def figures(rng: random.Random) -> Copies:
    """One sentence into which figures are drawn at random, line by line or in one paragraph."""
    form = rng.choice(
        (
            "So {deed} {a} times in {b} days",
            "The sum of {a} and {b} is {c}, which is not what we want",
            "Now {deed}, that is {a} in all, or {b}.{c} of them",
            "Wait, {a} times {b} gives {c}, so {deed}",
        )
    ) + rng.choice((". ", ", ", ".\n"))
    deed = words.clause(rng)
    return lambda n: form.format(a=rng.randint(1, 99), b=rng.randint(1, 999), c=rng.randint(1, 9999), deed=deed)


def counted_passages(rng: random.Random) -> Copies:
    """A passage of some sentences in one line, of which one counts."""
    sentences = [words.sentence(rng) for _ in range(rng.randint(2, 5))]
    return lambda n: f"This is try {n + 1}. " + " ".join(sentences) + " "


def near_copies(rng: random.Random) -> Copies:
    """A counted passage, in each copy of which one word is another."""
    passage = " ".join(words.sentence(rng) for _ in range(rng.randint(2, 4))).split()

    def copy(n: int) -> str:
        changed = list(passage)
        changed[rng.randrange(len(changed) - 1)] = rng.choice(words.NOUNS[:8])
        return f"Version {n + 1}. " + " ".join(changed) + rng.choice((" ", "\n"))

    return copy


FORMS: dict[str, Callable[[random.Random], Copies]] = {
    form.__name__: form
    for form in (counted_passages, counters, doubts, figures, near_copies, reworded, shuffled_many, synonyms)
}

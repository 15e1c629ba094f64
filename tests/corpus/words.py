"""A small vocabulary and sentences made from it: plain text that our generators can fill pages with."""

from __future__ import annotations

import random

# ruff: noqa: SIM905  (a page of words is easier to read than a page of quotes)

NOUNS = (
    "river bridge engine garden letter market window teacher mountain kitchen signal carpet lantern harbour method "
    "theorem packet ledger worker queue sample branch number morning village answer theory planet copper needle "
    "bottle corner doctor pencil orchard valley station ticket blanket mirror island shadow pocket hammer feather"
).split()
VERBS = (
    "carries follows opens measures repairs forgets describes moves compares colours counts divides explains finds "
    "gathers holds invents joins keeps lifts mentions notices offers paints questions reads sorts teaches visits"
).split()
ADJECTIVES = (
    "quiet narrow early bright broken careful distant empty famous gentle heavy honest little modern ordinary patient "
    "quick round silver simple steep strange sudden tall useful warm wooden young plain loud"
).split()
LINKS = "while because although whenever so before after unless and but".split()
PLACES = "near the|under a|beside every|beyond the|inside some|towards the|without a|between the|above each".split("|")
NAMES = "Ana Bo Chidi Dara Elif Femi Goran Hana Ivo Jun Kofi Lena Mika Noor Otto Pia Rui Sana Tomas Uma".split()


def noun_phrase(rng: random.Random) -> str:
    """`the quiet bridge`, or a name."""
    if rng.random() < 0.2:
        return rng.choice(NAMES)
    article = rng.choice(("the", "a", "every", "that", "one", "our"))
    adjective = f"{rng.choice(ADJECTIVES)} " if rng.random() < 0.6 else ""
    return f"{article} {adjective}{rng.choice(NOUNS)}"


def clause(rng: random.Random) -> str:
    """Subject, verb, object and perhaps a place."""
    place = f" {rng.choice(PLACES)} {rng.choice(NOUNS)}" if rng.random() < 0.5 else ""
    return f"{noun_phrase(rng)} {rng.choice(VERBS)} {noun_phrase(rng)}{place}"


def sentence(rng: random.Random) -> str:
    """One to three clauses, with a capital letter and a full stop."""
    parts = [clause(rng)]
    while rng.random() < 0.4 and len(parts) < 3:
        parts.append(f"{rng.choice(LINKS)} {clause(rng)}")
    text = " ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def prose(rng: random.Random, chars: int) -> str:
    """At least `chars` characters of paragraphs."""
    paragraphs, length = list[str](), 0
    while length < chars:
        paragraphs.append(" ".join(sentence(rng) for _ in range(rng.randint(2, 7))))
        length += len(paragraphs[-1]) + 2
    return "\n\n".join(paragraphs)


def identifier(rng: random.Random) -> str:
    """`measure_copper`, as code names things."""
    return f"{rng.choice(VERBS).removesuffix('s')}_{rng.choice(NOUNS)}"

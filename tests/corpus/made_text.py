"""Ordinary texts for people that repeat themselves: songs, lists, forms, rulers, drawings."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.corpus import words


def plain(rng: random.Random) -> str:
    return words.prose(rng, rng.randint(500, 12_000))


def poem(rng: random.Random) -> str:
    """Each line begins with the same words."""
    begin = rng.choice(("I remember", "There is", "Because of", "Blessed be"))
    return "\n".join(f"{begin} {words.clause(rng)}" for _ in range(rng.randint(12, 60)))


def refrain(rng: random.Random) -> str:
    """Verses with one refrain after each, in which lines come twice."""
    line = words.clause(rng)
    refrain = "\n".join((line, line, words.clause(rng), line))
    verses = ["\n".join(words.clause(rng) for _ in range(4)) for _ in range(rng.randint(3, 9))]
    return "\n\n".join(f"{verse}\n\n{refrain}" for verse in verses)


def counting_song(rng: random.Random) -> str:
    """A verse for each number, downwards."""
    thing, last = rng.choice(words.NOUNS), rng.randint(8, 30)
    deed = words.clause(rng)
    return "\n\n".join(
        f"{n} {thing}s standing on the wall,\n{n} {thing}s standing tall;\n{deed},\nand {n - 1} {thing}s remain in all."
        for n in range(last, 0, -1)
    )


def dialogue(rng: random.Random) -> str:
    pair = rng.sample(words.NAMES, 2)
    said = ("Yes.", "No.", "Really?", "Why?", "I see.", "Go on.")
    return "\n".join(
        f"{pair[n % 2]}: {rng.choice(said) if rng.random() < 0.5 else words.sentence(rng)}"
        for n in range(rng.randint(15, 70))
    )


def steps(rng: random.Random) -> str:
    """A worked calculation, whose steps have one form and other numbers."""
    total, lines = 0, list[str]()
    for n in range(1, rng.randint(6, 11)):
        add = rng.randint(1, 99)
        lines.append(f"Step {n}: add {add} to {total}, which gives {total + add}.")
        total += add
    return words.prose(rng, 300) + "\n\n" + "\n".join(lines) + f"\n\nANSWER: {total}"


def numbered_list(rng: random.Random) -> str:
    begin = rng.choice(("The ", "You should ", "It is important that ", ""))
    return "\n".join(f"{n}. {begin}{words.clause(rng)}." for n in range(1, rng.randint(10, 60)))


def checklist(rng: random.Random) -> str:
    return words.prose(rng, 300) + "\n" + "\n".join(f"- [ ] {words.clause(rng)}" for _ in range(rng.randint(8, 40)))


def form(rng: random.Random) -> str:
    """Blanks to fill in."""
    return (
        words.prose(rng, 200)
        + "\n"
        + "\n".join(
            f"{rng.choice(words.NOUNS).title()}: {'_' * rng.randint(10, 60)}" for _ in range(rng.randint(6, 30))
        )
    )


def ruler(rng: random.Random) -> str:
    """Sections under rulers of every length up to 200, some of them with corners."""
    parts = []
    for _ in range(rng.randint(3, 12)):
        unit, width = rng.choice(("-", "=", "*", "#", "~", "_", "+--", "-=", "* ", "· ")), rng.randint(20, 200)
        rule = (unit * width)[:width]
        parts.append(f"{rule}\n{words.sentence(rng)}\n{rule if rng.random() < 0.5 else ''}")
    return "\n".join(parts) + "\n" + words.prose(rng, 300)


def ascii_art(rng: random.Random) -> str:
    """Frames, boards, filled shapes and waves."""
    width, height = rng.randint(8, 60), rng.randint(4, 22)
    shape = rng.choice(("frame", "board", "triangle", "wave", "filled", "maze"))
    match shape:
        case "frame":
            lines = ["+" + "-" * width + "+", *["|" + " " * width + "|"] * height, "+" + "-" * width + "+"]
        case "board":
            black, white = rng.choice((("#", "."), ("X", "O"), ("[]", "  "), ("■", "□")))
            pairs = rng.randint(3, 8)
            lines = [((black + white) if row % 2 else (white + black)) * pairs for row in range(2 * pairs)]
        case "triangle":
            lines = [" " * (height - row) + "*" * (2 * row + 1) for row in range(height)]
        case "wave":
            lines = ["".join(rng.choice("~-_^ ") for _ in range(8)) * (width // 8 + 1) for _ in range(height)]
        case "filled":
            lines = [rng.choice("#.:@") * width for _ in range(min(height, 12))]
        case _:
            lines = ["+" + "".join(rng.choice(("--+", "  +")) for _ in range(width // 3)) for _ in range(height)]
    return words.prose(rng, 300) + "\n\n" + "\n".join(lines) + "\n\n" + words.prose(rng, 200)


def times_table(rng: random.Random) -> str:
    form = rng.choice(("{a} x {b} = {c}", "{a} times {b} is {c}", "{a} · {b} = {c}.", "{a} * {b} equals {c}"))
    of = rng.sample(range(2, 20), rng.randint(2, 6))
    return "\n\n".join("\n".join(form.format(a=a, b=b, c=a * b) for b in range(1, 13)) for a in of)


MAKERS: dict[str, Callable[[random.Random], str]] = {
    maker.__name__: maker
    for maker in (
        plain,
        poem,
        refrain,
        counting_song,
        dialogue,
        steps,
        numbered_list,
        checklist,
        form,
        ruler,
        ascii_art,
        times_table,
    )
}

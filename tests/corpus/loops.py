"""Degenerate texts made by rule: an ordinary beginning that falls into a loop, in the forms small models show.

They stand in where no collected text is (`ops/corpus.py` collects real ones). Each says where its first copy begins
and how long a copy is on average.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

from tests.corpus import loose_loops, words
from tests.corpus.samples import Sample, seeded

# Until the model's limit: 1,024 to 4,096 tokens.
LOOP_CHARS = (4_000, 16_000)
Copies = Callable[[int], str]


def degenerate(count: int, seed: int = 0) -> Iterator[Sample]:
    """`count` loops, spread evenly over the forms."""
    forms = sorted(FORMS.items())
    for number in range(count):
        kind, form = forms[number % len(forms)]
        name = f"{kind}/{number // len(forms)}"
        rng = random.Random(seeded(seed, name))
        before = words.prose(rng, rng.choice((1, 100, 1_000, 6_000))) + rng.choice(("\n\n", " "))
        copy, length, parts, loop = form(rng), rng.randint(*LOOP_CHARS), list[str](), 0
        while loop < length:
            parts.append(copy(len(parts)))
            loop += len(parts[-1])
        text = before + "".join(parts)
        cut = text[: len(before) + length]
        yield Sample(name=name, kind=kind, text=cut, onset=len(before), period=max(1, loop // len(parts)))


def _same(unit: str) -> Copies:
    return lambda n: unit


def _word(rng: random.Random) -> Copies:
    return _same(rng.choice(words.NOUNS) + rng.choice((" ", "\n", ", ", ". ", "! ", " - ")))


def _short_phrase(rng: random.Random) -> Copies:
    return _same(words.noun_phrase(rng) + rng.choice((" ", "\n", ", ", " and ")))


def _sentence(rng: random.Random) -> Copies:
    return _same(words.sentence(rng) + rng.choice((" ", "\n", "\n\n")))


def _paragraph(rng: random.Random) -> Copies:
    return _same(" ".join(words.sentence(rng) for _ in range(rng.randint(3, 12))) + "\n\n")


def _bullets(rng: random.Random) -> Copies:
    return _same("".join(f"- {words.clause(rng)}\n" for _ in range(rng.randint(2, 6))))


def _code_lines(rng: random.Random) -> Copies:
    body = "".join(f"    {words.identifier(rng)}({rng.choice(words.NOUNS)})\n" for _ in range(rng.randint(1, 5)))
    return _same(f"    if {rng.choice(words.NOUNS)}:\n    {body}")


def _functions(rng: random.Random) -> Copies:
    name, noun = words.identifier(rng), rng.choice(words.NOUNS)
    return _same(f'def {name}({noun}):\n    """{words.sentence(rng)}"""\n    return {noun}\n\n\n')


def _json_objects(rng: random.Random) -> Copies:
    record = {key: rng.choice(words.NOUNS) for key in rng.sample(words.NOUNS, rng.randint(2, 5))}
    return _same(json.dumps(record, indent=rng.choice((None, 2))) + ",\n")


def _table_row(rng: random.Random) -> Copies:
    return _same("| " + " | ".join(rng.sample(words.NOUNS, 4)) + " |\n")


def _second_thoughts(rng: random.Random) -> Copies:
    doubt = rng.choice(("Wait, let me check that again.", "Hmm, that is not right.", "Actually, let me start over."))
    return _same(f"{doubt} {words.sentence(rng)} {words.sentence(rng)}\n\n")


def _foreign(rng: random.Random) -> Copies:
    signs = (
        "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后"
    )
    return _same("".join(rng.choices(signs, k=rng.randint(3, 60))) + rng.choice(("。", "，", "\n")))


def _accented(rng: random.Random) -> Copies:
    letters = "абвгдежзиклмнопрстуфхцчшщыэюя"
    return _same(" ".join("".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(rng.randint(2, 12))) + ". ")


def _zeros(rng: random.Random) -> Copies:
    return _same(rng.choice(("0", "0, ", "0.0 ", "1, 0, ", "| --- ", "= ", "\\n", ".", " ", "9", "00 ", "[[")))


def _numbered(rng: random.Random) -> Copies:
    """A list whose items differ in their number only."""
    item, first = words.clause(rng), rng.randint(1, 9)
    form = rng.choice(
        ("{n}. {item}.\n", "{n}) {item}\n", "Step {n}: {item}.\n", "- Item {n}: {item}\n", "{n}. {item}.\n\n")
    )
    return lambda n: form.format(n=first + n, item=item[0].upper() + item[1:])


def _counting_inline(rng: random.Random) -> Copies:
    """One long line in which a number grows."""
    text = words.clause(rng) + " " + words.clause(rng)
    return lambda n: f"The answer number {n} is that {text}. "


def _counting_blocks(rng: random.Random) -> Copies:
    """Several lines a copy, with a number in one of them."""
    lines = [words.sentence(rng) for _ in range(rng.randint(2, 5))]
    return lambda n: f"Attempt {n + 1}:\n" + "\n".join(lines) + "\n\n"


def _drifting(rng: random.Random) -> Copies:
    """A sentence whose figures change at random."""
    first, second = words.clause(rng), words.clause(rng)
    return lambda n: f"With {rng.randint(1, 99)} points {first}, and {second} by {rng.randint(1, 99)} more.\n"


def _noisy(rng: random.Random) -> Copies:
    """Each copy of a passage has one word in eighty replaced."""
    passage = " ".join(words.sentence(rng) for _ in range(rng.randint(1, 4))).split()

    def copy(n: int) -> str:
        return " ".join(rng.choice(words.NOUNS) if rng.random() < 1 / 80 else word for word in passage) + "\n"

    return copy


def _shuffled(rng: random.Random) -> Copies:
    """A few sentences in ever another order."""
    sentences = [words.sentence(rng) for _ in range(rng.randint(2, 5))]
    return lambda n: " ".join(rng.sample(sentences, len(sentences))) + " "


def _growing(rng: random.Random) -> Copies:
    """Each copy is one clause longer, as in `she said that he said that`."""
    said = [f"{rng.choice(words.NAMES)} said that" for _ in range(3)]
    return lambda n: " ".join(said[i % 3] for i in range(n + 1)) + f" {words.NOUNS[0]}.\n"


def _swapped_name(rng: random.Random) -> Copies:
    """A long sentence in which only the name changes."""
    text = f" {rng.choice(words.LINKS)} ".join(words.clause(rng) for _ in range(3))
    return lambda n: f"{rng.choice(words.NAMES)} says that {text}. "


FORMS: dict[str, Callable[[random.Random], Copies]] = {
    function.__name__.strip("_"): function
    for function in (
        _accented,
        _bullets,
        _code_lines,
        _counting_blocks,
        _counting_inline,
        _drifting,
        _foreign,
        _functions,
        _growing,
        _json_objects,
        _noisy,
        _numbered,
        _paragraph,
        _second_thoughts,
        _sentence,
        _short_phrase,
        _shuffled,
        _swapped_name,
        _table_row,
        _word,
        _zeros,
    )
} | loose_loops.FORMS

"""What models are asked for the corpus of texts that they wrote (`ops/corpus.py`)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.corpus import words
from tests.corpus.samples import seeded

# By what is asked for. The words are drawn anew for each prompt.
PROMPTS: tuple[tuple[str, str], ...] = (
    ("prose", "Explain in detail why {a} {n} {v} {m}."),
    ("story", "Write a long story about {name} and a {adj} {n}."),
    ("code", "Write a Python function that {v} a list of {n}s, with tests for every case."),
    ("list", "List everything that one should know about a {n}."),
    ("maths", "Prove that there are infinitely many {adj} {n}s."),
    ("maths", "Think step by step: {name} has {x} {n}s and gives {y} of them to {other}. How many are left, and why?"),
    ("prose", "Describe the difference between a {n} and a {m}."),
    ("poem", "Write a poem about a {adj} {n} in which every stanza ends alike."),
    ("table", "Make a table of {x} kinds of {n} with their uses."),
    ("json", "Write a JSON document that describes a {n}, its {m} and all of their parts."),
    ("prose", "Explain to {name} how one {v} a {n}, then check your explanation and correct it."),
    ("maths", "Solve x^2 - {x}x + {y} = 0 and check each step twice."),
    ("list", "Write the rules of a game that is played with a {n} and {x} {m}s."),
    ("prose", "Summarise the history of the {n} in {x} sentences."),
    ("list", "Give {x} reasons for and {x} reasons against a {adj} {n}."),
    ("dialogue", "Write a dialogue in which {name} and {other} argue about a {n}."),
    ("sql", "Write a SQL schema for a shop that sells {n}s and {m}s."),
    ("maths", "Which numbers below {x} are divisible by {y}? Explain."),
    ("shell", "Write a shell script that {v} every {n} in a folder."),
    ("translation", "Translate into French and back again: the {adj} {n} {v} the {m}."),
    ("prose", "Continue: The {n} {v} the {m}. The {m} {v} the {n}."),
    ("code", "Write unit tests for a class {n} that {v} a {m}."),
    ("letter", "Write a letter from {name} to {other} about the {adj} {n} near the {m}."),
    ("prose", "What would happen if every {n} were {adj}? Consider each consequence in turn."),
    ("log", "Write the log file of a server that {v} {n}s, one line a second, with {x} lines."),
    ("numbers", "Write the multiples of {y} up to {x}0, one on each line, and say of each whether it is odd."),
    ("table", "Compare a {n}, a {m} and a {adj} {n} in a Markdown table with at least {y} rows."),
    ("json", "Give me {x} example records of {n}s as a JSON array with the keys id, name, {m} and price."),
    ("code", "Write a C program that keeps {x} {n}s in a linked list and prints them."),
    ("html", "Write the HTML page of a shop for {n}s, with a form and a table of prices."),
    ("review", "List every error in this text: The {n} {v} the {m}, becaus it are {adj} and {adj}."),
    ("code", "Write a Python class for a {n} with {y} methods, each with a docstring."),
)

# What a right answer to these repeats: long lists, proofs by cases, tables, steps.
LONG: tuple[tuple[str, str], ...] = (
    ("list", "List {x}0 different names for a {adj} {n}, one on each line."),
    (
        "proof",
        "Prove by cases that the square of a whole number leaves 0, 1 or 4 when it is divided by 8. Write one "
        "paragraph for each of the remainders, then the same for {x} numbers of your choice.",
    ),
    (
        "table",
        "Make a Markdown table with a row for every number from 1 to {x}: the number, its square, and its square "
        "modulo {y}.",
    ),
    ("steps", "A queue holds {y} {n}s. Show step by step what it holds while {x} {n}s come and go, one step a line."),
    ("steps", "Trace bubble sort on {x} numbers of your choice and describe every comparison in a sentence."),
    ("steps", "List all moves of the tower of Hanoi with {y} disks, one move a line."),
    ("code", "Write a Python test function of its own for each of {x} inputs of a function that {v} a {n}."),
    ("code", "Write a Python table of {x} by {x} zeros as a list of lists, with nothing left out."),
    ("numbers", "Count from 1 to {x}0 in words, in one paragraph."),
    ("song", "Write a song about a {adj} {n} with {x} verses and the same chorus after each."),
    ("prose", "Write {x} sentences about a {n}, each of which begins with the same three words."),
    ("proof", "Check for each number from {x} to {x}5 whether it is prime, and give the reason in a sentence each."),
    ("log", "Write what {name} does each minute from 9:00 to 10:00 near the {m}, one line a minute."),
    ("code", "Write a Python dictionary that maps {x}0 names of {n}s to their prices."),
    ("prose", "Explain what a {n} is. Then explain it again in other words, {x} times in all."),
    ("table", "Write an SQL script that inserts {x}0 {n}s with an id, a name and a weight, one INSERT each."),
)


def prompt_for(seed: int, number: int, prompts: Sequence[tuple[str, str]] = PROMPTS) -> tuple[str, str]:
    """What is asked for, and the words that ask for it."""
    rng = random.Random(seeded(seed, f"prompt {number}"))
    name, other = rng.sample(words.NAMES, 2)
    noun, second = rng.sample(words.NOUNS, 2)
    kind, asked = prompts[number % len(prompts)]
    return kind, asked.format(
        a=rng.choice(("a", "every", "no")),
        n=noun,
        m=second,
        v=rng.choice(words.VERBS),
        adj=rng.choice(words.ADJECTIVES),
        name=name,
        other=other,
        x=rng.randint(5, 40),
        y=rng.randint(2, 9),
    )

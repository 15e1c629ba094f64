"""The set `carwash`: questions with one exact answer that common sense, or a habit, answers wrongly.

Each kind takes a question that everybody knows and changes what it turns on: the thing has to be there itself, the
order is another, the usual trick does not apply. Texts and answers come from one program and its seed, so that none can
have been learnt by heart.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tasks.types import CheckSpec, JobSpec
from workers.bench.tasks import Task, TaskSet

SEED = 20261129
EACH = 4  # questions of each kind
_FORM = "answer-form"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and its one answer: a whole number, or one of the `choices`."""

    text: str
    answer: str
    choices: tuple[str, ...] = ()


def carwash(seed: int = SEED) -> TaskSet:
    """All questions, the kinds in turn."""
    questions: dict[str, Question] = {}
    for number in range(EACH):
        for kind in KINDS:
            name = kind.__name__.strip("_")
            generator = random.Random(f"{seed}:{name}:{number}")  # noqa: S311  (questions, no secret)
            question = kind(generator)
            while question in questions.values():
                question = kind(generator)
            questions[f"{name}/{number}"] = question
    return TaskSet(name="carwash", tasks=tuple(_task(name, question) for name, question in questions.items()))


def _task(name: str, question: Question) -> Task:
    form = f"one of: {', '.join(question.choices)}" if question.choices else "one whole number, in digits"
    pattern = "|".join(question.choices) if question.choices else r"-?\d+"
    visible = CheckSpec(name=_FORM, kind="answer", value={"regex": f"(?i)(?:{pattern})"})
    value = {"regex": f"(?i){question.answer}"} if question.choices else {"number": question.answer}
    scoring = CheckSpec(name="answer-value", kind="answer", value=value, held_out=True)
    problem = f"{question.text}\n\nThe answer is {form}."
    spec = JobSpec(title=name.partition("/")[0], problem=problem, checks=(visible,), memory=False, tags=("bench",))
    return Task(name=name, spec=spec, scoring=(scoring,))


def _errand(generator: random.Random) -> Question:
    """Short ways are walked, unless what is to be treated has to come along."""
    metres = generator.choice([40, 60, 80, 120])
    thing, place, comes = generator.choice(
        [
            ("wash your car", "the car wash", True),
            ("have your car's tyres changed", "the garage", True),
            ("fill up your car", "the petrol station", True),
            ("pay last month's bill of the car wash", "the office of the car wash", False),
            ("collect the key of your car, which stands at home", "the garage", False),
        ]
    )
    text = (
        f"You want to {thing}. Your car is in front of your house, and {place} is {metres} metres down the road. The "
        "weather is fine and you are in no hurry. Do you walk there or drive there?"
    )
    return Question(text=text, answer="drive" if comes else "walk", choices=("walk", "drive"))


def _siblings(generator: random.Random) -> Question:
    """A girl's sisters are her brother's sisters less herself."""
    brothers, sisters = generator.randint(2, 6), generator.randint(2, 6)
    name = generator.choice(["Mara", "Ines", "Tilda", "Noor"])
    if generator.random() < 0.5:
        text = (
            f"{name}, a girl, has {brothers} brothers and {sisters} sisters. How many sisters does each brother have?"
        )
        return Question(text=text, answer=str(sisters + 1))
    text = f"{name}, a girl, has {brothers} brothers and {sisters} sisters. How many brothers does each sister have?"
    return Question(text=text, answer=str(brothers))


def _drying(generator: random.Random) -> Question:
    """What happens side by side takes no longer for more of it; what needs the one oven does."""
    few, minutes = generator.randint(2, 5), generator.choice([30, 45, 60, 90])
    more = few * generator.randint(2, 4)
    if generator.random() < 0.5:
        text = (
            f"{few} towels on a long line in the sun are dry after {minutes} minutes. The line has room for all. After "
            f"how many minutes are {more} such towels dry that are hung up there at the same time?"
        )
        return Question(text=text, answer=str(minutes))
    text = (
        f"A kiln holds {few} bowls and needs {minutes} minutes to fire a load. How many minutes does it take to fire "
        f"{more} bowls, one load after the other, with no pause between?"
    )
    return Question(text=text, answer=str(minutes * (more // few)))


def _snail(generator: random.Random) -> Question:
    """On the last day it does not slip back."""
    up, slip = generator.randint(3, 6), generator.randint(1, 2)
    depth = up + (up - slip) * generator.randint(2, 6)
    slips = generator.random() < 0.6
    night = f"slips back {slip} metres" if slips else "stays where it is"
    text = (
        f"A snail sits at the bottom of a well that is {depth} metres deep. Each day it climbs {up} metres, and each "
        f"night it {night}. On which day does it reach the rim?"
    )
    days = (depth - up) // (up - slip) + 1 if slips else -(-depth // up)
    return Question(text=text, answer=str(days))


def _doors(generator: random.Random) -> Question:
    """The trick of the three doors needs a host who knows."""
    knows = generator.random() < 0.5
    if knows:
        how = (
            "The host, who knows where the prize is and never shows it, opens one of the other two doors: it is empty."
        )
    else:
        how = (
            "The host shows you, before you have opened anything, that the prize is behind the very door that you "
            "have chosen."
        )
    prize = generator.choice(["a bicycle", "a piano", "a telescope"])
    text = (
        f"Behind one of three doors is {prize}, behind the others is nothing. You choose a door. {how} You may keep "
        "your door or change to another that is closed. What gives you the better chance of the prize: keep or change?"
    )
    return Question(text=text, answer="change" if knows else "keep", choices=("keep", "change"))


def _weight(generator: random.Random) -> Question:
    """A kilogram of one thing is as heavy as one of another; two are heavier."""
    light, heavy = generator.choice([("feathers", "steel"), ("cotton", "lead"), ("straw", "bricks")])
    kilograms = generator.choice([1, 2, 3])
    other = generator.choice([kilograms, kilograms - 1, kilograms + 1]) or 2
    text = (
        f"On the left scale pan lie {kilograms} kg of {light}, on the right one lie {other} kg of {heavy}. Which pan "
        "goes down: left, right or neither?"
    )
    answer = "neither" if kilograms == other else "left" if kilograms > other else "right"
    return Question(text=text, answer=answer, choices=("left", "right", "neither"))


def _race(generator: random.Random) -> Question:
    """Whoever overtakes the second is second; the last can be overtaken by nobody behind."""
    place = generator.randint(2, 6)
    if generator.random() < 0.5:
        text = f"You run a race and overtake the runner in place {place}. In which place are you now?"
        return Question(text=text, answer=str(place))
    text = f"You run a race in place {place}. The runner directly behind you overtakes you. In which place are you now?"
    return Question(text=text, answer=str(place + 1))


def _candles(generator: random.Random) -> Question:
    """What was put out is left; what burns on is gone."""
    lit = generator.randint(7, 12)
    out = generator.randint(2, lit - 3)
    left = generator.random() < 0.5
    text = (
        f"{lit} candles burn on a table, all of the same length. A gust of wind puts out {out} of them, and nobody "
        "lights them again. The others burn until nothing of them is left. "
    )
    if left:
        return Question(text=f"{text}How many candles are there on the table the next day?", answer=str(out))
    return Question(text=f"{text}How many candles burnt down completely?", answer=str(lit - out))


KINDS: tuple[Callable[[random.Random], Question], ...] = (
    _errand,
    _siblings,
    _drying,
    _snail,
    _doors,
    _weight,
    _race,
    _candles,
)

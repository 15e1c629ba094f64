"""The marks of thoughts within an answer: told apart however a text arrives, and left alone where it speaks of them."""

from __future__ import annotations

import random

import pytest

from tasks.llm.splitting import ThoughtSplitter

THOUGHTS = [
    ("<think>hm</think>7", "7", "hm"),
    ("\n<think>\nhm", "", "hm"),
    ("<think>\n\n</think>\n\n7", "7", ""),
    ("hm, so 41\n</think>\n\n42", "42", "hm, so 41"),
    ("hm\n```python\nx\n```\nso</think>It", "It", "hm\n```python\nx\n```\nso"),
    ("hm</think>x</think>y", "x</think>y", "hm"),
    ("I may say `</think>` later\n</think>\n7", "7", "I may say `</think>` later"),
    ("Sure.\n<think>\nhm\n</think>\n7", "Sure.\n\n7", "hm"),
    ("<|channel>thought\nhm\n<channel|>42", "42", "hm"),
    ("<|channel>thought\n<channel|>42<turn|>", "42", ""),
    ("Sure <|channel>thought\nhm<channel|>7", "Sure 7", "hm"),
    (
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>7<|return|>",
        "7",
        "hm",
    ),
    (
        "<|channel|>analysis<|message|>h<|start|>assistant<|channel|>commentary<|message|>m<|end|>"
        "<|start|>assistant<|channel|>final <|constrain|>json<|message|>{}<|return|>",
        "{}",
        "hm",
    ),
    ("analysisWe weigh itassistantfinal7", "7", "We weigh it"),
    ("[THINK]hm[/THINK]7", "7", "hm"),
    ("◁think▷hm◁/think▷7", "7", "hm"),
    ("<seed:think>hm</seed:think>7", "7", "hm"),
    ("<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>7<|END_RESPONSE|>", "7", "hm"),
    ("Here is my thought process: hm. Here is my response: 7", "7", "hm."),
]
WHOLE = [
    "It is 7.",
    "   indented",
    "a < b and <thi",
    "analysis of it is hard",
    "Say <think>hm</think>",
    "<thinking>hm</thinking>7",
    "A line\n<think> is a tag",
    "Split at '</think>' and take the end.",
    "The tag </think> ends a thought.",
    "the mark `</think>` ends it",
    "```python\nt = s.split('</think>')[-1]\n```",
    "```python\nre.sub(r'<think>.*?</think>', '', s)\n```\nDone",
    'def f(s):\n    return s.split("</think>\\n")[1]',
]


def split(text: str, seed: int | None) -> tuple[str, str]:
    """The whole text at once, or in pieces of a few characters."""
    splitter, draw = ThoughtSplitter(), random.Random(seed)
    at = 0
    while at < len(text):
        length = len(text) if seed is None else 1 if seed == 0 else draw.randint(1, 7)
        splitter.feed(text[at : at + length])
        at += length
    splitter.finish(cut=False)
    return splitter.cut_answer(None), splitter.thought.text.strip()


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
@pytest.mark.parametrize(("text", "answer", "thoughts"), THOUGHTS)
def test_thoughts_are_told_apart_by_their_marks(text: str, answer: str, thoughts: str, seed: int | None) -> None:
    assert split(text, seed) == (answer, thoughts)


@pytest.mark.parametrize("seed", [None, 0, 1, 2])
@pytest.mark.parametrize("text", WHOLE)
def test_an_answer_that_speaks_of_marks_is_whole(text: str, seed: int | None) -> None:
    assert split(text, seed) == (text, "")


def test_a_loop_in_thoughts_without_an_opening_mark_is_seen_in_the_thoughts_once_they_end() -> None:
    splitter = ThoughtSplitter()
    splitter.feed("hm, and so on and on, ")
    before = splitter.answer.guard
    splitter.feed("so.</think>\n42 it is")
    assert splitter.thought.guard is before
    assert splitter.answer.guard.hit is None


def test_thoughts_that_the_prompt_opens_are_watched_as_thoughts_from_the_beginning() -> None:
    splitter = ThoughtSplitter(prompt_opens=True)
    splitter.feed("and so on, " * 40)
    assert splitter.thought.guard.hit is not None
    assert splitter.answer.text == ""


@pytest.mark.parametrize(("choice", "answer"), [(True, "PASS"), (False, "")])
def test_a_choice_is_no_thought_where_the_prompt_opens_them(choice: bool, answer: str) -> None:
    splitter = ThoughtSplitter(prompt_opens=True)
    splitter.feed("PASS")
    splitter.finish(cut=False, choice=choice)
    assert splitter.cut_answer(None) == answer

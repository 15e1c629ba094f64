"""Reads a model's text: the problems that a review lists, the lines of a lesson. Pure; must not know who wrote it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.prompts.layout import BUGS, FEEDBACK_CHARS, LESSON_CHARS, shorten

# A shorter quote is found in any text and proves nothing.
QUOTE_CHARS = 3
# Of the problem: so few words say nothing that could contradict anything.
OBJECTED_CHARS = 12
_OBJECTION = re.compile(r"^\W*IMPOSSIBLE\W*:\s*(.+)$")
_ITEM = re.compile(r"^\s{0,3}(?:[-*•+]|\(?\d{1,2}[.):])\s+")
_LABEL = re.compile(r"^[\s>*_#`\d.()-]*(when|do|avoid)[\s*_`]*:[\s*_`]*(.*)$", re.IGNORECASE)
# Of a question to a person, and what is asked where a model's text holds none.
QUESTION_CHARS = 500
NO_QUESTION = "No answer has passed the checks so far. What should the next one do differently?"
_LABELLED = re.compile(r"^(?:my |the )?question\W*:\W*", re.IGNORECASE)
# Our own words, repeated.
_ECHO = re.compile(r"^\(?(?:the kind of problem|what to do|the mistake to avoid)\W*$", re.IGNORECASE)
_QUOTES = re.compile(r"```[^\n`]*\n(.*?)```|``([^`]+)``|`([^`\n]+)`|\"([^\"\n]+)\"|“([^”\n]+)”", re.DOTALL)


def bugs(review_text: str, candidate_text: str) -> tuple[str, ...]:
    """The problems a review reports, at most `BUGS`, one line each.

    Only those that quote, in backticks or double quotes, text of the candidate (white space aside).
    """
    candidate = " ".join(candidate_text.split())
    problems: list[str] = []
    for item in _items(review_text):
        quotes = (" ".join("".join(match).split()) for match in _QUOTES.findall(item))
        bug = shorten(" ".join(item.split()), FEEDBACK_CHARS // 3)
        if bug not in problems and any(len(quote) >= QUOTE_CHARS and quote in candidate for quote in quotes):
            problems.append(bug)
    return tuple(problems[:BUGS])


def objection(text: str, problem: str) -> str:
    """The line in which an author says that no answer can exist, where it quotes the problem for it; empty elsewhere,
    and where an answer is written all the same."""
    line = next((match[1] for match in map(_OBJECTION.match, text.splitlines()) if match), "")
    quotes = (" ".join("".join(match).split()) for match in _QUOTES.findall(line))
    stated = " ".join(problem.split())
    if "```" in text or not any(len(quote) >= OBJECTED_CHARS and quote in stated for quote in quotes):
        return ""
    return shorten(" ".join(line.split()), FEEDBACK_CHARS // 3)


def question(text: str) -> str:
    """The last line of a model's text that is a question, in `QUESTION_CHARS` at most; empty where there is none. What
    it asks itself comes before that."""
    lines = [" ".join(line.strip("*_#>`- ").split()) for line in text.splitlines()]
    asked = [_LABELLED.sub("", line) for line in lines if line.endswith("?")]
    return shorten_line(asked[-1]) if asked else ""


def shorten_line(line: str) -> str:
    """The line in at most `QUESTION_CHARS` characters."""
    return line if len(line) <= QUESTION_CHARS else f"{line[: QUESTION_CHARS - 2]}…?"


def lesson_lines(text: str) -> tuple[str, str, str] | None:
    """The fields when, do and avoid of a model's text, one line each; None where `when` is missing, or both of the
    others. Labels may be in any case and in bold, and a field may run over several lines."""
    fields: dict[str, list[str]] = {}
    label = ""
    for line in text.splitlines():
        match = _LABEL.match(line)
        if match and match[1].lower() in fields:
            break  # a second lesson, where one was requested
        if match:
            label = match[1].lower()
            fields[label] = [match[2]]
        elif label and (line.strip().startswith("```") or (not line.strip() and any(fields[label]))):
            label = ""  # what follows is no part of it
        elif label:
            fields[label].append(line)
    lines = {name: _one_line(" ".join(parts)) for name, parts in fields.items()}
    when, do, avoid = ("" if _ECHO.search(line := lines.get(n, "")) else line for n in ("when", "do", "avoid"))
    return (when, do, avoid) if when and (do or avoid) else None


def _items(review_text: str) -> Sequence[str]:
    """The entries of a list with the lines that belong to them; where there is no list, each line."""
    lines = review_text.strip().splitlines()
    if not any(_ITEM.match(line) for line in lines):
        return [line for line in lines if line.strip()]
    items: list[list[str]] = []
    fenced = False
    for line in lines:
        start = None if fenced else _ITEM.match(line)
        fenced ^= line.lstrip().startswith("```")
        if start:
            items.append([line[start.end() :]])
        elif items:
            items[-1].append(line)
    return ["\n".join(item) for item in items]


def _one_line(text: str) -> str:
    """A lesson's line as it is kept, cut at a word."""
    line = " ".join(text.split()).strip("*_` ")
    return line if len(line) <= LESSON_CHARS else line[:LESSON_CHARS].rsplit(" ", 1)[0] + " …"

"""The plan of an answer in a few words: what its author called it, or what its code is made of. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from tasks.prompts.layout import shorten
from tasks.syntaxtrees import parse
from tasks.types import Candidate
from tasks.validators.extraction import code_of

PLAN_CHARS = 120
_NAMED = re.compile(r"^\W*plan\W*:\W*(\w.*)$", re.IGNORECASE | re.MULTILINE)
_WORDS: dict[type[ast.AST], str] = {
    ast.For: "a loop",
    ast.While: "a while loop",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.Try: "an exception",
    ast.ClassDef: "a class",
    ast.Dict: "a dictionary",
    ast.Set: "a set",
}


def plans(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """The plan of each, without repetitions, the first first."""
    return tuple(dict.fromkeys(plan(candidate.text) for candidate in candidates if candidate.text.strip()))


def plan(text: str) -> str:
    """One line of at most `PLAN_CHARS` characters."""
    if named := _NAMED.search(text):
        return _line(named[1])
    if outline := _outline(code_of(text)):
        return _line(outline)
    return _line(next(line for line in text.splitlines() if line.strip()))


def _outline(source: str) -> str:
    """What Python source is made of: loops, calls of other people's functions, recursion; empty where it is none."""
    try:
        tree = parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return ""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    if not own:
        return ""
    words = dict.fromkeys(_WORDS[type(node)] for node in ast.walk(tree) if type(node) in _WORDS)
    called = dict.fromkeys(ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    words.update(dict.fromkeys("recursion" if name in own else f"{name}()" for name in called))
    return ", ".join(words) or "one expression"


def _line(text: str) -> str:
    return shorten(" ".join(text.split()).strip("*_`"), PLAN_CHARS).replace("\n", " ")

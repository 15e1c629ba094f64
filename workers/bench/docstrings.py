"""The examples that a function's docstring gives: calls, and what each returns. Pure.

Read are doctests, and the forms that people write instead: `f(1) == 2`, `f(1) => 2`, `f(1) # returns 2`, `Input: … /
Output: …`, `For x = … the output should be …`. What can't be read as a value is left out.
"""

from __future__ import annotations

import ast
import doctest
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

_ARROW = re.compile(r"\s*(?:#\s*returns|==+>?|=>|->|➞)\s*")
_INPUT = re.compile(r"Input:[ \t]*(?P<call>.+)\n\s*Output:[ \t]*(?P<value>.+)")
_SENTENCE = re.compile(r"For \w+ = (?P<call>.+?) the output should be (?P<value>.+?)\.?\s*$", re.MULTILINE)
_CONSTANTS = {"true": "True", "false": "False"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """`call` is a Python expression; `value` is the `repr` of what it returns."""

    call: str
    value: str


def examples(docstring: str, function: str) -> tuple[Example, ...]:
    """The examples of `function`, each once, in their order."""
    found = list(_doctests(docstring)) or [*_lines(docstring, function), *_pairs(docstring, function)]
    return tuple(dict.fromkeys(found))


def _doctests(docstring: str) -> Iterator[Example]:
    try:
        tests = doctest.DocTestParser().get_examples(textwrap.dedent(docstring))
    except ValueError:
        return
    for test in tests:
        call, value = _expression(test.source), _literal(test.want)
        if call is not None and value is not None:
            yield Example(call=call, value=value)


def _lines(docstring: str, function: str) -> Iterator[Example]:
    """Lines that begin with a call, of whatever name: some docstrings give their function another one."""
    for line in docstring.splitlines():
        text = line.strip()
        call = re.match(r"\w+(?=\()", text)
        if call is None:
            continue
        for end in (match.end() for match in re.finditer(r"\)", text)):
            parsed = _call(function, text[call.end() + 1 : end - 1])
            arrow = _ARROW.match(text, end)
            if parsed is not None and arrow is not None:
                value = _value(text[arrow.end() :])
                if value is not None:
                    yield Example(call=parsed, value=value)
                break


def _pairs(docstring: str, function: str) -> Iterator[Example]:
    for pattern in (_INPUT, _SENTENCE):
        for match in pattern.finditer(docstring):
            call, value = _call(function, match["call"]), _literal(match["value"])
            if call is not None and value is not None:
                yield Example(call=call, value=value)


def _call(function: str, arguments: str) -> str | None:
    """A call of `function`; a bare word among its arguments stands for itself as a text."""
    try:
        tree = ast.parse(f"{function}({arguments})", mode="eval")
    except SyntaxError:
        return None
    call = tree.body
    if not isinstance(call, ast.Call):
        return None
    call.args = [ast.Constant(arg.id) if isinstance(arg, ast.Name) else arg for arg in call.args]
    try:
        for argument in call.args:
            ast.literal_eval(argument)
    except ValueError:
        return None
    return ast.unparse(call)


def _value(text: str) -> str | None:
    """The value at the end of an example; of a sum that is worked out (`5 - 3 = 2`), its result."""
    whole = _literal(text)
    return whole if whole is not None else _literal(text.rpartition("=")[2])


def _expression(source: str) -> str | None:
    try:
        tree = ast.parse(source.strip(), mode="eval")
    except SyntaxError:
        return None
    return ast.unparse(tree)


def _literal(text: str) -> str | None:
    word = text.strip()
    try:
        return repr(ast.literal_eval(_CONSTANTS.get(word, word)))
    except (ValueError, SyntaxError):
        return None

"""Calls with which programs are told apart: the functions that may be called, and the calls that a model's text gives.
Pure; must not know who runs them."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence

from tasks.syntaxtrees import parse

CALLS = 12
CALL_CHARS = 1_000
SIGNATURES = 4
_MARK = re.compile(r"^\s*(?:[-*•+]\s+|\(?\d{1,2}[.):]\s+|>>>\s*|\.\.\.\s*)*`*|`*\s*$")


def signatures(source: str, names: Collection[str] = ()) -> dict[str, str]:
    """The public functions that Python source defines at its top level, each by name with the line that begins it, at
    most `SIGNATURES`; only those of `names`, where it defines any of them. Empty where the source does not parse."""
    try:
        tree = parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return {}
    functions = {
        node.name: _signature(node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }
    wanted = {name: line for name, line in functions.items() if name in names} or functions
    return dict(list(wanted.items())[-SIGNATURES:])


def calls(text: str, names: Collection[str]) -> tuple[str, ...]:
    """The calls of functions in `names` with literal arguments that a text holds, one a line, without repetitions, at
    most `CALLS`. What is around a call, as in `assert f(1) == 2`, is left out."""
    found = dict.fromkeys(call for line in text.splitlines() for call in _calls_of(_MARK.sub("", line), names))
    return tuple(found)[:CALLS]


def _signature(function: ast.FunctionDef) -> str:
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"def {function.name}({ast.unparse(function.args)}){returns}"


def _calls_of(line: str, names: Collection[str]) -> Iterator[str]:
    """The first call of a line, as Python writes it."""
    try:
        tree = parse(line.strip())
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            written = ast.unparse(node)
            if len(written) <= CALL_CHARS and _is_literal([*node.args, *(k.value for k in node.keywords)], node):
                yield written
            return


def _is_literal(arguments: Sequence[ast.expr], call: ast.Call) -> bool:
    if any(keyword.arg is None for keyword in call.keywords):
        return False
    try:
        for argument in arguments:
            ast.literal_eval(argument)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True

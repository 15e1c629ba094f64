"""Errors to plant in right answers: one small change of a program, or one changed figure. Pure; whether a change makes
an answer wrong is for a check to say.

The operators are the usual ones of mutation testing (DeMillo, Lipton, Sayward 1978): a comparison, a constant, an
operator, a branch.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.syntaxtrees import parse

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}
# Of the change, in words.
_CODE_CHARS = 60
_FIGURE = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """An answer with one change; `change` says which."""

    text: str
    change: str


def plain(source: str) -> str:
    """The program without docstrings and comments, in the form that its mutants have."""
    return ast.unparse(_bare(source))


def code_mutants(source: str) -> Iterator[Mutant]:
    """Every program that differs from `source` in one place, in the order of the places."""
    tree = _bare(source)
    for number, node in enumerate(ast.walk(tree)):
        for replacement in _variants(node):
            changed = copy.deepcopy(tree)
            target = next(found for index, found in enumerate(ast.walk(changed)) if index == number)
            _Replaced(target, replacement).visit(changed)
            change = f"line {getattr(node, 'lineno', 0)}: `{_words(node)}` became `{_words(replacement)}`"
            yield Mutant(text=ast.unparse(ast.fix_missing_locations(changed)), change=change)


def figure_mutants(answer: str) -> Iterator[Mutant]:
    """Every answer that differs from `answer` in one digit, or in the sign, of its last number; of a digit, those that
    are one less or one more."""
    numbers = list(_FIGURE.finditer(answer))
    if not numbers:
        return
    last = numbers[-1]
    for number in _other_figures(last[0]):
        text = answer[: last.start()] + number + answer[last.end() :]
        yield Mutant(text=text, change=f"`{last[0]}` became `{number}`")


def _other_figures(number: str) -> Iterator[str]:
    for place, digit in enumerate(number):
        if digit.isdigit():
            leads = number[:place] in ("", "-") and number[place + 1 : place + 2].isdigit()
            for other in (int(digit) - 1, int(digit) + 1):
                if int(leads) <= other <= 9:
                    yield number[:place] + str(other) + number[place + 1 :]
    yield number[1:] if number.startswith("-") else f"-{number}"


def _bare(source: str) -> ast.Module:
    """The program without docstrings, its lines counted as they are printed."""
    tree = parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return parse(ast.unparse(tree))


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the node's place. A statement may be an `ast.Module`, whose statements stand there."""
    match node:
        case ast.Compare(left=left, ops=[op, *ops], comparators=comparators) if type(op) in _COMPARISONS:
            yield ast.Compare(left=left, ops=[_COMPARISONS[type(op)](), *ops], comparators=comparators)
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            yield ast.Constant(value=value + 1)
            yield ast.Constant(value=value - 1)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            yield ast.BinOp(left=left, op=_OPERATORS[type(op)](), right=right)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(op=ast.Or() if isinstance(op, ast.And) else ast.And(), values=values)
        case ast.If(orelse=orelse):
            yield ast.Module(body=orelse or [ast.Pass()], type_ignores=[])
        case ast.IfExp(orelse=orelse):
            yield orelse


class _Replaced(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST) -> None:
        self._target, self._replacement = target, replacement

    def visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        """The replacement in the target's place, all else as it was."""
        if node is not self._target:
            kept: ast.AST = self.generic_visit(node)
            return kept
        return self._replacement.body if isinstance(self._replacement, ast.Module) else self._replacement


def _words(node: ast.AST) -> str:
    """A node on one line, shortened."""
    line = " ".join(ast.unparse(node).split())
    return line if len(line) <= _CODE_CHARS else f"{line[:_CODE_CHARS]}…"

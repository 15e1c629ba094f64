"""Repairs of a program in Python that no model writes: the modules that it forgot to import, and one statement left
out. Pure.

After GenProg (Weimer, Nguyen, Le Goues, Forrest, ICSE 2009), whose edits a test suite chooses among, and Kali (Qi,
Long, Achour, Rinard, ISSTA 2015), which can only leave something out.
"""

from __future__ import annotations

import ast
import builtins
import io
import sys
from collections.abc import Collection, Iterator

from tasks.edits.whole import LONGEST, body_of
from tasks.syntaxtrees import parse

_NEEDED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Return, ast.Pass)


def repairs_of(answer: str, had: Collection[str] = ()) -> Iterator[str]:
    """The repairs of `answer`, each once, without those that were `had`: first the program with the standard modules
    that it uses and does not import, then that without one statement, the last first. None of what is no program in
    Python."""
    body = body_of(answer)
    if len(body.text) > LONGEST:
        return
    try:
        text = _with_imports(body.text, parse(body.text))
        tree = parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return
    fewer = (_without(_lines(text), statement, only) for statement, only in _statements(tree))
    seen = {body.text}
    for repaired in (text, *fewer):
        whole = body.answer(repaired)
        if repaired not in seen and whole not in had:
            seen.add(repaired)
            yield whole


def _lines(text: str) -> list[str]:
    """As Python counts them: `str.splitlines` ends lines at other characters, too."""
    return io.StringIO(text).readlines()


def _with_imports(text: str, tree: ast.Module) -> str:
    """The program with the modules that it forgot, after what it has of `__future__`."""
    first = max((one.end_lineno or 0 for one in tree.body if _is_of_future(one)), default=0)
    lines, imports = _lines(text), [f"import {name}\n" for name in _not_imported(tree)]
    return "".join((*lines[:first], *imports, *lines[first:]))


def _is_of_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _not_imported(tree: ast.Module) -> list[str]:
    """The modules of the standard library whose names are used and bound nowhere."""
    used, bound = set[str](), set[str](dir(builtins))
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.alias(name=name, asname=asname):
                bound.add(asname or name.partition(".")[0])
            case _:
                pass
    return sorted((used - bound) & sys.stdlib_module_names)


def _statements(tree: ast.Module) -> list[tuple[ast.stmt, bool]]:
    """The statements that may be left out, the last first, and of each whether it is the only one of its block. Not
    those of a `while` that have to do with its condition: without them the program may hang."""
    found = []
    for node in ast.walk(tree):
        for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            if not isinstance(block, list):
                continue
            waits_for = _names(node.test) if isinstance(node, ast.While) else set()
            for statement in block:
                only = len(block) == 1
                if _is_needed(statement) or (only and isinstance(node, ast.Module)):
                    continue
                if not waits_for & _names(statement) and _stands_alone(statement, block):
                    found.append((statement, only))
    return sorted(found, key=lambda one: one[0].lineno, reverse=True)


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _is_needed(statement: ast.stmt) -> bool:
    """Whether it stays: what was asked for, what it returns, and what does nothing, as a docstring."""
    text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return isinstance(statement, _NEEDED) or text or _is_of_future(statement)


def _stands_alone(statement: ast.stmt, block: list[ast.stmt]) -> bool:
    """Whether it shares no line with another one of its block."""
    place = block.index(statement)
    begins_alone = place == 0 or (block[place - 1].end_lineno or 0) < statement.lineno
    ends_alone = place == len(block) - 1 or (statement.end_lineno or 0) < block[place + 1].lineno
    return begins_alone and ends_alone


def _without(lines: list[str], statement: ast.stmt, only: bool) -> str:
    """The program without a statement; `pass` takes the place of the only one of a block."""
    begins, ends = statement.lineno - 1, statement.end_lineno or statement.lineno
    indent = lines[begins][: len(lines[begins]) - len(lines[begins].lstrip())]
    return "".join((*lines[:begins], f"{indent}pass\n" if only else "", *lines[ends:]))

"""When two candidates are the same one again: equal code but for its comments, or equal words. Pure."""

from __future__ import annotations

import ast
import functools

from tasks.syntaxtrees import parse
from tasks.types import Candidate
from tasks.validators.extraction import code_of

_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def identity(candidate: Candidate, *, executable: bool) -> str:
    """What equal candidates share: of a program its syntax tree without docstrings and comments, of any other text its
    words."""
    return _identity(candidate.text, executable)


@functools.lru_cache(maxsize=1024)  # a strategy compares all candidates at each decision
def _identity(text: str, executable: bool) -> str:
    tree = _tree(code_of(text)) if executable else None
    return " ".join(text.split()) if tree is None else ast.dump(tree)


def _tree(source: str) -> ast.Module | None:
    try:
        tree = parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return tree

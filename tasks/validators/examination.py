"""Whether the tests of a `python` check can work at all, found out at submit and not by the model, night after night.

The source is read for what the stand-in of the solution can't do, then the tests are collected once in the sandbox
against a stand-in that has every name. Must not know how a candidate is judged.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from tasks.validators.testreport import Raised, TestReport

SOLUTION = "solution"
_SHARE = "; `isolation: shared` on the check loads the solution into the tests' process"


def unsupported(sources: Mapping[str, str]) -> str | None:
    """What in the tests needs the solution in their own process: where, and why; None where nothing does."""
    for path, source in sources.items():
        tree = ast.parse(source)
        for line, why in (*_subclasses(tree), *_programs(tree)):
            return f"tests that reach the solution by its names (line {line} of {path} {why}){_SHARE}"
    return None


def unloadable(report: TestReport, sources: Mapping[str, str]) -> str | None:
    """Why the tests can't be run, by what their collection reported; None where they can, or where only a solution
    could tell: they use more than its names while they are loaded."""
    if report.unfit:
        test, fixture = report.unfit
        return (
            f"tests whose fixtures there are ({test} asks for {fixture!r}, which neither pytest nor conftest.py offers)"
        )
    faults = [raised for test, raised in report.raised.items() if test not in report.collected]
    of_solution = report.used or any(_imports_all(ast.parse(source)) for source in sources.values())
    for raised in faults:
        if not of_solution or raised.type in ("ImportError", "ModuleNotFoundError", "SyntaxError"):
            return f"tests that can be loaded ({_line(raised)})"
    if not report.collected and not faults and report.finished:
        return "a file with at least one test that pytest collects"
    return None


def _line(raised: Raised) -> str:
    at = f"{raised.at[0]} line {raised.at[1]}: {raised.at[2]}; " if raised.at else ""
    message = " ".join(raised.message.split())
    return at + (message if message.startswith(raised.type) else f"{raised.type}: {message}")


def _imports_all(tree: ast.AST) -> bool:
    """`from solution import *`: which names there are, only a solution can say."""
    return any(
        isinstance(node, ast.ImportFrom) and node.module == SOLUTION and node.names[0].name == "*"
        for node in ast.walk(tree)
    )


def _subclasses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == SOLUTION
        for alias in node.names
    }
    for node in ast.walk(tree):
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            inner = base.value if isinstance(base, ast.Attribute) else base
            if isinstance(inner, ast.Name) and inner.id in (names if inner is base else {SOLUTION}):
                yield base.lineno, "derives a class from one of the solution's"


def _programs(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and f"{SOLUTION}.py" in node.value.split("/"):
            yield node.lineno, "names the file solution.py"

"""Finds out at submit whether the tests of a `python` check can work at all.

The source is searched for what tests can't do across processes, then the tests are collected once in the sandbox with a
stand-in for the solution that has every name. Must not know how a candidate is checked.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from tasks.syntaxtrees import parse
from tasks.validators.testreport import ExceptionInfo, TestReport

SOLUTION = "solution"
_SHARE = "; `isolation: shared` on the check loads the solution into the tests' process"


def unsupported(sources: Mapping[str, str]) -> str | None:
    """Where and why the tests need the solution in their own process; None where they don't."""
    for path, source in sources.items():
        tree = parse(source)
        for line, why in (*_subclasses(tree), *_programs(tree)):
            return f"tests that reach the solution by its names (line {line} of {path} {why}){_SHARE}"
    return None


def unloadable(report: TestReport, sources: Mapping[str, str]) -> str | None:
    """Why the tests can't be run, according to the report of their collection. None where they can, or where it depends
    on the solution because loading them uses more than its names."""
    if report.missing_fixture:
        test, fixture = report.missing_fixture
        return (
            f"tests whose fixtures there are ({test} asks for {fixture!r}, which neither pytest nor conftest.py offers)"
        )
    faults = [fault for test, fault in report.exceptions.items() if test not in report.collected]
    depends_on_solution = report.used_solution or any(_imports_all(parse(source)) for source in sources.values())
    for fault in faults:
        if not depends_on_solution or fault.type in ("ImportError", "ModuleNotFoundError", "SyntaxError"):
            return f"tests that can be loaded ({_describe(fault)})"
    if not report.collected and not faults and report.finished:
        return "a file with at least one test that pytest collects"
    return None


def _describe(fault: ExceptionInfo) -> str:
    location = f"{fault.at[0]} line {fault.at[1]}: {fault.at[2]}; " if fault.at else ""
    message = " ".join(fault.message.split())
    return location + (message if message.startswith(fault.type) else f"{fault.type}: {message}")


def _imports_all(tree: ast.AST) -> bool:
    """Whether there is `from solution import *`, whose names depend on the solution."""
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

"""The check `python: FILE`: pytest runs FILE beside the candidate's `solution.py`, in the sandbox.

The verdict rests on the reports of our own driver, never on the exit code or on what was printed. Must
not know how the sandbox confines, nor how a report is read.
"""

from __future__ import annotations

import ast
import json
import secrets
import sys
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from tasks.errors import InvalidInput
from tasks.ports import Pulse, Sandbox, SandboxJob
from tasks.types import CheckSpec, Verdict
from tasks.validators.ending import ended
from tasks.validators.extraction import code_of
from tasks.validators.files import read_text
from tasks.validators.testreport import feedback_of, honest_pass, read, score_of

TEST_BYTES = 1_000_000
SOLUTION_CHARS = 1_000_000
_REPORT_FD = 9  # as in inside/run_tests.py
_DRIVER = ".redraft/run_tests.py"
_TAKEN = frozenset({"solution", "pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "conftest"})


class PythonValidator:
    """Unit tests. Score: passed tests over all collected ones."""

    kind: ClassVar[str] = "python"
    cost: ClassVar[int] = 10

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str]]:
        """The test file's name, and its text. Raises `InvalidInput` where it can't be read or is no Python."""
        if not isinstance(value, str) or not value.strip():
            raise InvalidInput("python", value, "the path of a test file, relative to the job file")
        path = Path(value) if folder is None else folder / value
        name = path.name
        if path.suffix != ".py" or path.stem in _TAKEN or path.stem in sys.stdlib_module_names:
            allowed = "a name that ends in .py and is not solution.py or the name of a module of Python or pytest"
            raise InvalidInput("python", value, allowed)
        source = _read(path, value)
        if not test_names(source):
            raise InvalidInput("python", value, "a test file with at least one function or method named test...")
        return name, {name: source}

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, pulse: Pulse) -> Verdict:
        """Raises only `ServiceFault`s and what `pulse` raises."""
        code = code_of(candidate)
        if not code.strip() or len(code) > SOLUTION_CHARS:
            why = (
                "There is no code in the answer." if not code.strip() else "The code is over a million characters long."
            )
            return _verdict(check, passed=False, score=0.0, feedback=why, seconds=0.0)
        test = str(check.value)
        source = check.files[test]
        nonce = secrets.token_hex(16)
        order = {"nonce": nonce, "test": test, "imports": _standard_imports(source)}
        job = SandboxJob(
            argv=("python", "-P", "-s", _DRIVER),
            files={_DRIVER: _driver(), test: source, "solution.py": code.encode("utf-8", "replace")},
            stdin=json.dumps(order).encode(),
            timeout_seconds=check.timeout_seconds,
            memory_mb=check.memory_mb,
            report_fd=_REPORT_FD,
        )
        result = sandbox.run(job, pulse)
        found = read(result.report, nonce)
        passed = result.killed is None and honest_pass(found, required_names(source))
        feedback = "" if passed else feedback_of(found, ended(result, check), result.stderr or result.stdout)
        return _verdict(
            check, passed=passed, score=score_of(found, passed=passed), feedback=feedback, seconds=result.seconds
        )


def test_names(source: str) -> list[str]:
    """Every function or method named test… in a test file, as it stands."""
    functions = (
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return [node.name for node in functions if node.name.startswith("test")]


def required_names(source: str) -> list[str]:
    """The tests at the top level of a file, which pytest collects whatever the solution does."""
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test")
        and not any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]


def _standard_imports(source: str) -> list[str]:
    """Modules of the standard library that the test file imports: what a solution must leave as it is."""
    names: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return sorted(name for name in names if name.partition(".")[0] in sys.stdlib_module_names)


def _read(path: Path, value: str) -> str:
    source = read_text("python", value, path, TEST_BYTES)
    try:
        compile(source, path.name, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise InvalidInput("python", value, f"valid Python (line {error.lineno}: {error.msg})") from None
    except ValueError as error:
        raise InvalidInput("python", value, f"valid Python ({error})") from None
    return source


def _driver() -> str:
    return resources.files("tasks.validators").joinpath("inside/run_tests.py").read_text(encoding="utf-8")


def _verdict(check: CheckSpec, *, passed: bool, score: float, feedback: str, seconds: float) -> Verdict:
    return Verdict(
        check=check.name,
        kind=check.kind,
        passed=passed,
        score=score,
        held_out=check.held_out,
        feedback=feedback,
        seconds=seconds,
    )

"""The check `python: FILE`: pytest runs FILE beside the candidate's `solution.py`, in the sandbox.

The verdict rests on the reports of our own driver, never on the exit code or on what was printed. Must
not know how the sandbox confines, nor how a report is parsed.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from tasks.errors import InvalidInput
from tasks.ports import Heartbeat, Sandbox
from tasks.syntaxtrees import parse
from tasks.types import JOINED, CheckSpec, FileSet, SandboxJob, SandboxResult, Verdict
from tasks.validators.ending import ended
from tasks.validators.examination import unloadable, unsupported
from tasks.validators.extraction import find_code
from tasks.validators.probing import behaviour_of
from tasks.validators.programs import argv_of
from tasks.validators.pythonfiles import files_of_tests, gather, unresolved
from tasks.validators.testreport import all_passed, feedback_of, read, score_of
from tasks.validators.verdicts import verdict_of

SOLUTION_CHARS = 1_000_000
_REPORT_FD = 9  # as in inside/reporting.py
SHARED = "shared"
# A test that uses these shares files with the solution.
_TEMPORARY_FILES = frozenset({"tempfile", "tmp_path", "tmp_path_factory", "tmpdir", "tmpdir_factory"})


class PythonValidator:
    """Unit tests. Score: passed tests over all collected ones."""

    kind: ClassVar[str] = "python"
    cost: ClassVar[int] = 10
    takes_runtime: ClassVar[bool] = True

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str | bytes]]:
        """The path of the test file or folder, and the files that travel with it, see `gather`. Raises `InvalidInput`
        where a file can't be read or is no Python."""
        return _parse(value, folder, None)

    def parse_beside(self, value: Any, folder: Path | None, files: FileSet) -> tuple[Any, Mapping[str, str | bytes]]:
        """As `parse`; the modules that the answer writes don't travel with the tests."""
        return _parse(value, folder, files.is_writable)

    def examine(self, check: CheckSpec) -> None:
        """Raises `InvalidInput` where the tests need the solution in their own process without `isolation: shared`, or
        import a module that is neither a file of theirs nor in the sandbox. Imports of a check with a named runtime are
        not examined, since only the sandbox knows its packages, nor those of a job whose answer writes modules."""
        fault = unsupported(_sources(check)) if check.isolation != SHARED else None
        if fault is not None:
            raise InvalidInput("python", check.value, fault)
        if check.runtime or check.folder:
            return
        for missing in unresolved(str(check.value), check.files):
            raise InvalidInput(
                "python",
                missing.module,
                f"{missing.source} imports it, and it is neither beside the tests nor in the sandbox; "
                "`runtime: NAME` on the check names one with further packages, `redraft sandbox add` builds it",
            )

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Verdict:
        """Raises only `ServiceFault`s and what `heartbeat` raises."""
        sources, nonce = _sources(check), secrets.token_hex(16)
        if check.folder:
            return self._verdict(check, _request(nonce, check, sources), _written(check, sources), sandbox, heartbeat)
        code = find_code(candidate, solution_names(sources.values()))
        if not code.source.strip() or len(code.source) > SOLUTION_CHARS:
            empty = not code.source.strip()
            reason = "There is no code in the answer." if empty else "The code is over a million characters long."
            return verdict_of(check, feedback=reason, isolation=check.isolation)
        solution = {**code.modules, "solution.py": code.source}
        return self._verdict(check, _request(nonce, check, sources), solution, sandbox, heartbeat)

    def _verdict(
        self,
        check: CheckSpec,
        request: Mapping[str, Any],
        solution: Mapping[str, str | bytes],
        sandbox: Sandbox,
        heartbeat: Heartbeat,
    ) -> Verdict:
        """The verdict on a solution, file name → text."""
        sources = _sources(check)
        result, ending = _run(check, request, solution, sandbox, heartbeat)
        report = read(result.report, request["nonce"])
        required = [name for source in sources.values() for name in required_names(source)]
        passed = ending is None and result.killed is None and all_passed(report, required)
        feedback = "" if passed else feedback_of(report, ending, result.stderr or result.stdout)
        return verdict_of(
            check,
            passed=passed,
            score=score_of(report, passed=passed),
            feedback=feedback,
            seconds=result.seconds,
            isolation=check.isolation,
        )

    def behaviour(
        self, candidate: str, check: CheckSpec, inputs: Sequence[str], sandbox: Sandbox, heartbeat: Heartbeat
    ) -> str | None:
        """What the solution returns for `inputs`, calls of its functions; None without any."""
        code = find_code(candidate, solution_names(_sources(check).values()))
        return behaviour_of(code, inputs, check, sandbox, heartbeat) if inputs else None

    def dry_run(self, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> None:
        """Loads the tests once, with a stand-in for the solution. Raises `InvalidInput` where that can't work. Which
        modules an answer of several files has is not known before."""
        if check.folder:
            return
        sources, nonce = _sources(check), secrets.token_hex(16)
        job = _tests_job(check, _request(nonce, check, sources, "collect"))
        fault = unloadable(read(sandbox.run(job, heartbeat).report, nonce), sources)
        if fault is not None:
            raise InvalidInput("python", check.value, fault)


def _parse(
    value: Any, folder: Path | None, is_written: Callable[[str], bool] | None
) -> tuple[Any, Mapping[str, str | bytes]]:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput("python", value, "the path of a test file or folder, relative to the job file")
    path, files = gather(value, folder, is_written)
    if not any(names_of_tests(str(files[name])) for name in files_of_tests(path, files)):
        raise InvalidInput("python", value, "a test file with at least one function or method named test...")
    return path, files


def _sources(check: CheckSpec) -> dict[str, str]:
    return {path: check.text(path) for path in files_of_tests(str(check.value), _tests_files(check))}


def _request(nonce: str, check: CheckSpec, sources: Mapping[str, str], mode: str = "") -> dict[str, Any]:
    """The input of the tests' process: see `inside/run_tests.py`."""
    python = {path: check.text(path) for path in _tests_files(check) if path.endswith(".py")}
    trees = [tree for source in python.values() if (tree := _tree(source, required=not check.folder))]
    return {
        "nonce": nonce,
        "mode": mode or check.isolation,
        "tests": list(sources),
        "imports": sorted({name for source in sources.values() for name in _standard_imports(source)}),
        "named": sorted({name for tree in trees for name in _identifiers(tree) if _is_class_name(name)}),
        "channels": JOINED,
        "asynchronous": any(isinstance(node, ast.AsyncFunctionDef) for tree in trees for node in ast.walk(tree)),
        "exchange": any(not _TEMPORARY_FILES.isdisjoint(_identifiers(tree)) for tree in trees),
        "modules": _modules(check.written) if check.folder else ["solution"],
        "folder": check.folder,
        "conftest": any(Path(path).name == "conftest.py" for path in python),
    }


def _run(
    check: CheckSpec,
    request: Mapping[str, Any],
    texts: Mapping[str, str | bytes],
    sandbox: Sandbox,
    heartbeat: Heartbeat,
) -> tuple[SandboxResult, str | None]:
    """The result of the tests' process, and in words why either process ended early."""
    solution = {
        name: text.encode("utf-8", "replace") if isinstance(text, str) else text for name, text in texts.items()
    }
    tests = _tests_job(check, request)
    if check.isolation == SHARED:
        result = sandbox.run(dataclasses.replace(tests, files={**solution, **check.files}), heartbeat)
        return result, ended(result, check)
    candidate = dataclasses.replace(
        tests, argv=argv_of("candidate", *map(str, JOINED)), files=solution, stdin=b"", report_fd=None
    )
    result, candidate_result = sandbox.run_joined(tests, candidate, heartbeat)
    return result, ended(candidate_result, check) or ended(result, check)


def _tests_job(check: CheckSpec, request: Mapping[str, Any]) -> SandboxJob:
    return SandboxJob(
        argv=argv_of("run_tests"),
        files=_tests_files(check),
        stdin=json.dumps(request).encode(),
        timeout_seconds=check.timeout_seconds,
        memory_mb=check.memory_mb,
        runtime=check.runtime,
        report_fd=_REPORT_FD,
        exchange=bool(request["exchange"]),
    )


def _tests_files(check: CheckSpec) -> dict[str, str | bytes]:
    """What the tests' process has: none of the candidate's files."""
    return {name: content for name, content in check.files.items() if name not in check.written}


def _written(check: CheckSpec, sources: Mapping[str, str]) -> dict[str, str | bytes]:
    """What the candidate's process has in a job with files: its own and the read-only ones, but no test."""
    return {name: check.files[name] for name in (*check.read_only, *check.written) if name not in sources}


def _modules(names: Iterable[str]) -> list[str]:
    """The modules that are imported from the candidate's process, with the packages that contain them."""
    modules: set[str] = set()
    for path in (PurePosixPath(name) for name in names if name.endswith(".py")):
        parts = path.parent.parts if path.name == "__init__.py" else path.with_suffix("").parts
        modules.update(".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return sorted(modules)


def _tree(source: str, *, required: bool) -> ast.Module | None:
    """None for a file beside the tests that is no Python, unless it was `required` at submission."""
    try:
        return parse(source)
    except (SyntaxError, ValueError):
        if required:
            raise
        return None


def _is_class_name(name: str) -> bool:
    """Whether PEP 8 makes it the name of a class; any other name that a test calls counts as a function."""
    return name.lstrip("_")[:1].isupper()


def _identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg


def solution_names(sources: Iterable[str]) -> list[str]:
    """The names of the solution that tests use: imported names, and attributes of the module."""
    names: dict[str, None] = {}
    for node in (node for source in sources for node in ast.walk(parse(source))):
        if isinstance(node, ast.ImportFrom) and node.module == "solution":
            names.update((alias.name, None) for alias in node.names if alias.name != "*")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "solution":
            names[node.attr] = None
    return list(names)


def names_of_tests(source: str) -> list[str]:
    """The name of every function or method test… in the source of a test file."""
    functions = (node for node in ast.walk(parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [node.name for node in functions if node.name.startswith("test")]


def required_names(source: str) -> list[str]:
    """The tests at the top level of a file, which pytest must collect whatever the solution does."""
    return [
        node.name
        for node in parse(source).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test")
        and not any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]


def _standard_imports(source: str) -> list[str]:
    """Modules of the standard library that the test file imports, which a solution must not change."""
    names: set[str] = set()
    for node in parse(source).body:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return sorted(name for name in names if name.partition(".")[0] in sys.stdlib_module_names)

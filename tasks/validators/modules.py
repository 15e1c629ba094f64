"""Which modules a test file loads, by the rules of `sys.path` and packages. Must not know where files are: its caller
says whether a file exists, and parses it."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tasks.validators.distributions import modules_of
from tasks.validators.imports import Import, imports_of
from tasks.validators.runtime import PACKAGES

CONFTEST, PACKAGE, SOLUTION = "conftest.py", "__init__.py", "solution"


@functools.cache
def reserved_names() -> frozenset[str]:
    """The modules that the sandbox provides: Python's library, pytest with its requirements, and the candidate's."""
    return modules_of(PACKAGES["pytest"]) | {SOLUTION} | sys.stdlib_module_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """An import in `source` of a module that is neither beside the tests, nor installed, nor the candidate's."""

    module: str
    source: PurePosixPath


@dataclass(slots=True, kw_only=True)
class Modules:
    """The modules that tests load. `is_file` says whether a file exists, `parse` returns its syntax tree."""

    is_file: Callable[[PurePosixPath], bool]
    parse: Callable[[PurePosixPath], ast.Module]
    loaded: dict[PurePosixPath, ast.Module] = field(default_factory=dict)
    unresolved: list[Unresolved] = field(default_factory=list)
    searched: set[PurePosixPath] = field(default_factory=set)  # the folders from which something was imported

    def load(self, test: PurePosixPath) -> None:
        """Adds a test file, each `conftest.py` and package above it, and everything that they import."""
        conftests = [folder / CONFTEST for folder in test.parents]
        pending = [test, *(path for path in (*conftests, *self._packages(test)) if self.is_file(path))]
        while pending:
            path = pending.pop(0)
            if path in self.loaded:
                continue
            self.loaded[path] = self.parse(path)
            for imported in imports_of(self.loaded[path]):
                pending += self._resolve(imported, path, test.parents)

    def _packages(self, path: PurePosixPath) -> Iterator[PurePosixPath]:
        """The `__init__.py` of each package that contains `path`, the innermost first."""
        for folder in path.parents:
            if not self.is_file(folder / PACKAGE):
                return
            yield folder / PACKAGE

    def _resolve(self, imported: Import, source: PurePosixPath, search: Sequence[PurePosixPath]) -> list[PurePosixPath]:
        top_level = imported.module.partition(".")[0]
        folders = search if not imported.level else source.parents[imported.level - 1 : imported.level]
        if not imported.level and top_level in reserved_names():
            self._require_no_shadowing(top_level, search)
            return []
        for folder in folders:
            if files := self._files(imported, folder):
                if not imported.level:
                    self.searched.add(folder)
                return files
        if imported.required and not imported.level:
            self.unresolved.append(Unresolved(module=top_level, source=source))
        return []

    def _require_no_shadowing(self, top: str, search: Sequence[PurePosixPath]) -> None:
        shadow = next((path for path in self._module_file(search[0] / top)), None)
        if shadow is not None and top != SOLUTION:
            raise ValueError(f"{shadow} has the name of a module of Python or pytest: give it another")

    def _files(self, imported: Import, folder: PurePosixPath) -> list[PurePosixPath]:
        """The files that the import loads from `folder`, packages first; empty where it is not there."""
        files, target = [], folder
        for name in imported.module.split(".") if imported.module else ():
            target = target / name
            files += self._module_file(target)
        return files + [path for name in imported.names for path in self._module_file(target / name)]

    def _module_file(self, target: PurePosixPath) -> list[PurePosixPath]:
        candidates = (target / PACKAGE, target.with_name(f"{target.name}.py"))
        return [path for path in candidates if self.is_file(path)][:1]


def is_test(path: PurePosixPath) -> bool:
    """Whether pytest collects a file of this name in a folder as a test file."""
    return path.suffix == ".py" and (path.stem.startswith("test_") or path.stem.endswith("_test"))

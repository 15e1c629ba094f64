"""Which modules a test file loads, by the rules of `sys.path` and packages. Must not know where files are: its caller
says whether there is one, and what it holds."""

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
def taken_names() -> frozenset[str]:
    """The modules that the sandbox has: Python's library, pytest with what comes along, and the candidate's."""
    return modules_of(PACKAGES["pytest"]) | {SOLUTION} | sys.stdlib_module_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """An import of something that is neither beside the tests, nor installed, nor the candidate's: in `source`."""

    module: str
    source: PurePosixPath


@dataclass(slots=True, kw_only=True)
class Modules:
    """The modules that tests load. `is_file` says whether there is a file, `parse` gives its tree."""

    is_file: Callable[[PurePosixPath], bool]
    parse: Callable[[PurePosixPath], ast.Module]
    loaded: dict[PurePosixPath, ast.Module] = field(default_factory=dict)
    unresolved: list[Unresolved] = field(default_factory=list)
    searched: set[PurePosixPath] = field(default_factory=set)  # the folders in which something was there to import

    def load(self, test: PurePosixPath) -> None:
        """Follows a test file, each `conftest.py` and package above it, and whatever they import."""
        above = [folder / CONFTEST for folder in test.parents]
        waiting = [test, *(path for path in (*above, *self._packages(test)) if self.is_file(path))]
        while waiting:
            path = waiting.pop(0)
            if path in self.loaded:
                continue
            self.loaded[path] = self.parse(path)
            for imported in imports_of(self.loaded[path]):
                waiting += self._resolved(imported, path, test.parents)

    def _packages(self, path: PurePosixPath) -> Iterator[PurePosixPath]:
        """The `__init__.py` of each package that `path` lies in, the innermost first."""
        for folder in path.parents:
            if not self.is_file(folder / PACKAGE):
                return
            yield folder / PACKAGE

    def _resolved(
        self, imported: Import, source: PurePosixPath, search: Sequence[PurePosixPath]
    ) -> list[PurePosixPath]:
        top = imported.module.partition(".")[0]
        folders = search if not imported.level else source.parents[imported.level - 1 : imported.level]
        if not imported.level and top in taken_names():
            self._require_no_double(top, search)
            return []
        for folder in folders:
            if files := self._files(imported, folder):
                if not imported.level:
                    self.searched.add(folder)
                return files
        if imported.required and not imported.level:
            self.unresolved.append(Unresolved(module=top, source=source))
        return []

    def _require_no_double(self, top: str, search: Sequence[PurePosixPath]) -> None:
        double = next((path for path in self._one(search[0] / top)), None)
        if double is not None and top != SOLUTION:
            raise ValueError(f"{double} has the name of a module of Python or pytest: give it another")

    def _files(self, imported: Import, folder: PurePosixPath) -> list[PurePosixPath]:
        """What the import loads where `folder` is searched, packages first; empty where it is not there."""
        files, target = [], folder
        for name in imported.module.split(".") if imported.module else ():
            target = target / name
            files += self._one(target)
        return files + [path for name in imported.names for path in self._one(target / name)]

    def _one(self, target: PurePosixPath) -> list[PurePosixPath]:
        candidates = (target / PACKAGE, target.with_name(f"{target.name}.py"))
        return [path for path in candidates if self.is_file(path)][:1]


def is_test(path: PurePosixPath) -> bool:
    """Whether pytest takes a file of a folder for a test file, by its name."""
    return path.suffix == ".py" and (path.stem.startswith("test_") or path.stem.endswith("_test"))

"""The files of a `python` check: those that the tests need are stored with the job, and those that can't be are refused
at submit.

| The check names | What travels |
|---|---|
| a file | the file |
| a folder | all regular files in it; its tests are `test_*.py` and `*_test.py` |
| either | each `conftest.py` from the tests' folder up to the job's, and the `__init__.py` of the tests' packages |
| either | modules that these import, directly or not, from the test's folder or one above it up to the job's |
| either | a file that one of these names in a text (`"data.csv"`), beside it or beside the test |
| either | a file or a whole folder that one names in a path (`… / "data" / "x.json"`, `open("data/x.json")`), beside \
it or in a folder above; `*` and what an f-string fills in stand for any part of a name |

Hidden files, byte code and `solution.py`, which is the candidate's, never travel with a job. Must not know the sandbox,
nor how tests are run.
"""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from tasks.decoding import exact
from tasks.errors import InvalidInput
from tasks.jobfolder import CHECK_FILES_BYTES, Missing, anchored, locate, read
from tasks.syntaxtrees import parse
from tasks.validators.files import text_of
from tasks.validators.imports import NamedPath, paths_of
from tasks.validators.modules import CONFTEST, PACKAGE, SOLUTION, Modules, Unresolved, is_test, reserved_names

FILES = 200
TEST_BYTES = 1_000_000
_BYTE_CODE = (".pyc", ".pyo")
_SOLUTIONS = (f"{SOLUTION}.py", f"{SOLUTION}.so", f"{SOLUTION}/{PACKAGE}")

Files = Mapping[str, str | bytes]


def gather(value: str, folder: Path | None, is_written: Callable[[str], bool] | None = None) -> tuple[str, Files]:
    """The path of the tests and all files that they need, relative to the nearest folder that contains them all.

    With `is_written`, for a job with files, they are relative to the job's folder, and none but the tests is a file
    that the answer writes. The path of a folder ends with `/`, or is `.`; for a single test, the first file is the
    test. Raises `InvalidInput`.
    """
    root, name = anchored(folder, value)
    test_path = PurePosixPath(os.path.normpath(name))
    try:
        is_folder = (root / locate(root, name)).is_dir()
        collector = _Collector(root, value, is_written or (lambda name: False))
        tests = collector.add_folder(test_path) if is_folder else _one_test(test_path, value)
        collector.add_tests(tests)
    except Missing:
        raise InvalidInput("python", value, f"a file that exists, and {root / name} does not") from None
    except ValueError as error:
        raise InvalidInput("python", value, str(error)) from None
    if is_written is not None:
        return _path(test_path, is_folder), {str(name): content for name, content in collector.files.items()}
    common_root = _root((test_path if is_folder else test_path.parent), collector)
    path = test_path.relative_to(common_root)
    files = {str(file.relative_to(common_root)): content for file, content in collector.files.items()}
    return _path(path, is_folder), files


def files_of_tests(value: str, files: Files) -> tuple[str, ...]:
    """The paths of the test files of a check, from what `gather` returned."""
    if value != "." and not value.endswith("/"):
        return (value,)
    folder = PurePosixPath(value)
    return tuple(name for name in files if is_test(PurePosixPath(name)) and PurePosixPath(name).is_relative_to(folder))


def unresolved(value: str, files: Files) -> Sequence[Unresolved]:
    """The modules that the tests of a check import although they are neither among its files nor in the sandbox."""

    def parse(path: PurePosixPath) -> ast.Module:
        content = files[str(path)]
        return _parse_module(content if isinstance(content, str) else content.decode(), str(path))

    modules = Modules(is_file=lambda path: str(path) in files, parse=parse)
    for test in files_of_tests(value, files):
        modules.load(PurePosixPath(test))
    return modules.unresolved


class _Collector:
    """The files collected from the job's folder so far, by their paths in it."""

    def __init__(self, root: Path, value: str, is_written: Callable[[str], bool]) -> None:
        self._root, self._value, self._is_written = root, value, is_written
        self._bytes = 0
        self.files: dict[PurePosixPath, str | bytes] = {}
        self.searched: set[PurePosixPath] = set()

    def add_folder(self, folder: PurePosixPath) -> list[PurePosixPath]:
        """Adds all files of a folder; returns the tests among them."""
        added = list(self._walk(folder))
        for path in added:
            self._add(path)
        return [path for path in added if is_test(path)]

    def add_tests(self, tests: Sequence[PurePosixPath]) -> None:
        """Adds the tests and the files that they need."""
        if not tests:
            raise ValueError("a folder with files named test_*.py or *_test.py, and this one has none")
        modules = Modules(is_file=self._is_file, parse=self._parse)
        for test in tests:
            modules.load(test)
        self.searched = modules.searched
        beside = dict.fromkeys(test.parent for test in tests)
        for source, tree in modules.loaded.items():
            for named in paths_of(tree):
                if named.joined or ".." not in named.parts:
                    self._add_named(named, source.parents if named.joined else (source.parent, *beside))

    def _add_named(self, named: NamedPath, folders: Sequence[PurePosixPath]) -> None:
        for folder in folders:
            matches = list(self._matches(folder, named.parts))
            for path in matches:
                if self._is_file(path, strict=named.joined):
                    self._add(path)
                elif named.joined and self._is_folder(path):
                    self.add_folder(path)
            if matches:
                return

    def _matches(self, folder: PurePosixPath, parts: Sequence[str]) -> Iterator[PurePosixPath]:
        """The paths below the job's folder to which the parts of a name lead from `folder`."""
        if not parts:
            yield folder
        elif parts[0] in ("", "."):
            yield from self._matches(folder, parts[1:])
        elif parts[0] == "..":
            if folder.parts and len(parts) > 1:
                yield from self._matches(folder.parent, parts[1:])
        else:
            for name in self._names(folder, parts[0]):
                yield from self._matches(folder / name, parts[1:])

    def _names(self, folder: PurePosixPath, part: str) -> list[str]:
        if "*" not in part:
            return [part] if os.path.lexists(self._root / folder / part) else []
        if not any(letter.isalnum() for letter in part) or not self._is_folder(folder):
            return []
        return sorted(path.name for path in (self._root / folder).iterdir() if fnmatchcase(path.name, part))

    def _walk(self, folder: PurePosixPath) -> Iterator[PurePosixPath]:
        with os.scandir(self._root / folder) as entries:
            sorted_entries = sorted(entries, key=lambda entry: entry.name)
        for entry in sorted_entries:
            path = folder / entry.name
            if entry.is_symlink() and entry.is_dir():
                raise ValueError(f"{path} is a symlink to a folder, which is not followed")
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name != "__pycache__":
                    yield from self._walk(path)
            elif self._is_file(path):
                yield path

    def _is_file(self, path: PurePosixPath, *, strict: bool = True) -> bool:
        """Whether it is a regular file that may travel with the job. Raises `ValueError`, if `strict`, for a file
        outside of the job's folder."""
        full_path = self._root / path
        if self._is_written(str(path)) and not is_test(path):
            return False
        if any(part.startswith(".") for part in path.parts) or path.suffix in _BYTE_CODE:
            return False
        if f"/{path}".endswith(tuple(f"/{name}" for name in _SOLUTIONS)) or not full_path.is_file():
            return False
        try:
            locate(self._root, str(path))
        except ValueError as error:
            if strict:
                raise ValueError(f"{path}: {error}") from None
            return False
        return True

    def _is_folder(self, path: PurePosixPath) -> bool:
        try:
            return locate(self._root, str(path)) == path and (self._root / path).is_dir()
        except ValueError:
            return False

    def _parse(self, path: PurePosixPath) -> ast.Module:
        self._add(path)
        content = self.files[path]
        display_name = self._value if len(self.files) == 1 else str(path)
        if len(content) >= TEST_BYTES:
            raise InvalidInput("python", display_name, f"a file under {TEST_BYTES // 10**6} MB")
        text = text_of("python", display_name, content if isinstance(content, bytes) else content.encode())
        self.files[path] = text
        return _parse_module(text, display_name)

    def _add(self, path: PurePosixPath) -> None:
        if path in self.files:
            return
        content = read(self._root, locate(self._root, str(path)), CHECK_FILES_BYTES)
        self._bytes += len(content)
        if len(self.files) == FILES:
            raise ValueError(f"at most {FILES} files travel with a check, and {path} would be one more")
        if self._bytes > CHECK_FILES_BYTES:
            raise ValueError(f"at most {CHECK_FILES_BYTES:,} bytes travel with a check, and {path} is beyond them")
        self.files[path] = exact(content)


def _path(path: PurePosixPath, is_folder: bool) -> str:
    return f"{path}/" if is_folder and path.parts else str(path)


def _one_test(path: PurePosixPath, value: str) -> list[PurePosixPath]:
    if path.suffix != ".py" or path.stem in reserved_names() or path.name == CONFTEST:
        allowed = "a name that ends in .py and is not solution.py or the name of a module of Python or pytest"
        raise InvalidInput("python", value, allowed)
    return [path]


def _root(tests: PurePosixPath, collector: _Collector) -> PurePosixPath:
    """The nearest folder that contains the tests, all files and the folders from which imports start. It is no package
    itself unless it is the job's folder."""
    paths = (*collector.files, *collector.searched)
    root = next(folder for folder in (tests, *tests.parents) if all(path.is_relative_to(folder) for path in paths))
    while root.parts and root / PACKAGE in collector.files:
        root = root.parent
    return root


def _parse_module(text: str, display_name: str) -> ast.Module:
    """The tree of a module. Raises `InvalidInput`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about the user's own code
            tree = parse(text)
            compile(tree, display_name, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise InvalidInput("python", display_name, f"valid Python (line {error.lineno}: {error.msg})") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise InvalidInput("python", display_name, f"valid Python ({error or 'nested too deeply'})") from None
    return tree

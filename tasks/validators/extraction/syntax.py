"""What a Python source defines and what it lacks, read from its syntax tree, in bounded work. Never runs it.

Must not know where the source stands in a text.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field

# Trees of a model's text are built in the worker: a megabyte of source takes seconds and hundreds of megabytes.
SOURCE_CHARS = 200_000
TOTAL_CHARS = 1_000_000
ATTEMPTS = 60
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_ALWAYS = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__", "__all__", "__builtins__"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The names of one source: its `functions` (and classes), what is `assigned` and `imported` (but from `solution`)
    at its top level, `lacking` those that it reads and binds nowhere; the `modules` that it imports."""

    functions: frozenset[str]
    assigned: frozenset[str]
    imported: frozenset[str]
    lacking: frozenset[str]
    modules: frozenset[str]

    @property
    def defined(self) -> frozenset[str]:
        """What it makes itself."""
        return self.functions | self.assigned

    @property
    def uses_solution(self) -> bool:
        """Whether it imports `solution`: an example of use, or a test."""
        return "solution" in self.modules

    @property
    def bound(self) -> frozenset[str]:
        """What can be imported from it."""
        return self.defined | self.imported


@dataclass(slots=True)
class Parser:
    """Compiles sources, so many and so much at most; counts what it did in `attempts` and `chars`."""

    attempts: int = 0
    chars: int = 0
    fault: str = ""
    _outlines: dict[str, Outline | None] = field(default_factory=dict)

    @property
    def spent(self) -> bool:
        """Whether nothing more is compiled."""
        return self.attempts >= ATTEMPTS or self.chars >= TOTAL_CHARS

    def outline(self, source: str) -> Outline | None:
        """The names of `source`; None where it does not compile, or is too long: `fault` says why."""
        if source in self._outlines:
            return self._outlines[source]
        if self.spent or len(source) > SOURCE_CHARS:
            self.fault = "too long"
            return None
        self.attempts += 1
        self.chars += len(source)
        self._outlines[source] = result = self._compiled(source)
        return result

    def _compiled(self, source: str) -> Outline | None:
        try:
            tree = ast.parse(source)
            compile(tree, "solution.py", "exec", dont_inherit=True)
            return _outline(tree)
        except SyntaxError as error:
            self.fault = error.msg
        except (ValueError, MemoryError, RecursionError) as error:  # a NUL, a surrogate, brackets without end
            self.fault = type(error).__name__
        return None


def _outline(tree: ast.Module) -> Outline:
    top = list(_top_level(tree.body))
    imports = [node for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
    functions = frozenset(node.name for node in top if isinstance(node, _DEFINITIONS))
    return Outline(
        functions=functions,
        assigned=frozenset(name for node in top for name in _targets(node)),
        imported=frozenset(
            name for node in imports if "solution" not in _modules(node) for name in _import_names(node)
        ),
        lacking=_lacking(tree),
        modules=frozenset(name for node in imports for name in _modules(node)),
    )


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when the module is loaded, those under `if`, `try`, `for` and `with` included."""
    waiting = list(reversed(body))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _DEFINITIONS):
            waiting.extend(inner for inner in ast.iter_child_nodes(node) if isinstance(inner, ast.stmt))
            handlers = getattr(node, "handlers", []) or getattr(node, "cases", [])
            waiting.extend(inner for handler in handlers for inner in handler.body)


def _targets(node: ast.stmt) -> Iterator[str]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    for target in targets:
        yield from (inner.id for inner in ast.walk(target) if isinstance(inner, ast.Name))


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").partition(".")[0]]
    return [alias.name.partition(".")[0] for alias in node.names]


def _import_names(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    yield from ((alias.asname or alias.name.partition(".")[0]) for alias in node.names)


def _lacking(tree: ast.Module) -> frozenset[str]:
    loaded: set[str] = set()
    bound: set[str] = set(_ALWAYS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (loaded if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, _DEFINITIONS):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound.update(_import_names(node))
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            bound.add(node.name)
    return frozenset(loaded - bound)

"""Which names a Python source defines and which it lacks, from its syntax tree, in bounded work. Never runs it.

Must not know where the source stands in a text.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.syntaxtrees import parse

# The worker itself builds the syntax trees: a megabyte of source takes seconds and hundreds of megabytes.
SOURCE_CHARS = 200_000
TOTAL_CHARS = 1_000_000
ATTEMPTS = 60
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_PREDEFINED = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__", "__all__", "__builtins__"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The names of one source at its top level: `functions` (and classes), `assigned` names, and `imported` ones,
    except those from `solution`. `lacking` are names that it reads and binds nowhere; `modules` are those it
    imports."""

    functions: frozenset[str]
    assigned: frozenset[str]
    imported: frozenset[str]
    lacking: frozenset[str]
    modules: frozenset[str]

    @property
    def defined(self) -> frozenset[str]:
        """The names that it defines itself."""
        return self.functions | self.assigned

    @property
    def uses_solution(self) -> bool:
        """Whether it imports `solution`, as a usage example or a test does."""
        return "solution" in self.modules

    @property
    def bound(self) -> frozenset[str]:
        """The names that can be imported from it."""
        return self.defined | self.imported


@dataclass(slots=True)
class Parser:
    """Compiles sources up to a limited number and size; `attempts` and `chars` count them."""

    attempts: int = 0
    chars: int = 0
    fault: str = ""
    _outlines: dict[str, Outline | None] = field(default_factory=dict)

    @property
    def exhausted(self) -> bool:
        """Whether a limit is reached, so that nothing more is compiled."""
        return self.attempts >= ATTEMPTS or self.chars >= TOTAL_CHARS

    def outline(self, source: str) -> Outline | None:
        """The names of `source`; None where it does not compile or is too long, and `fault` says why."""
        if source in self._outlines:
            return self._outlines[source]
        if self.exhausted or len(source) > SOURCE_CHARS:
            self.fault = "too long"
            return None
        self.attempts += 1
        self.chars += len(source)
        self._outlines[source] = result = self._compile(source)
        return result

    def _compile(self, source: str) -> Outline | None:
        try:
            tree = parse(source)
            compile(tree, "solution.py", "exec", dont_inherit=True)
            return _outline(tree)
        except SyntaxError as error:
            self.fault = error.msg
        except (ValueError, MemoryError, RecursionError) as error:  # a NUL, a surrogate, endless brackets
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
    pending = list(reversed(body))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _DEFINITIONS):
            pending.extend(inner for inner in ast.iter_child_nodes(node) if isinstance(inner, ast.stmt))
            handlers = getattr(node, "handlers", []) or getattr(node, "cases", [])
            pending.extend(inner for handler in handlers for inner in handler.body)


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
    bound: set[str] = set(_PREDEFINED)
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

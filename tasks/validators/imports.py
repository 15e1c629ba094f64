"""Which modules a Python source imports and which files it names, found without running it. Pure; must not know where
files are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_PATH_CALLS = frozenset({"Path", "PurePath", "PosixPath", "open", "join", "joinpath", "glob", "iglob"})
_IMPORT_CALLS = frozenset({"import_module", "importorskip", "__import__"})
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """`module` (dotted; empty in `from . import x`), the `names` imported from it, and `level`, the number of leading
    dots.

    It is not `required` where the source allows it to fail, or may never reach it.
    """

    module: str
    names: tuple[str, ...] = ()
    level: int = 0
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPath:
    """A path as a source writes it: its literal parts, with `*` for what is inserted at run time. It is `joined` if it
    is used as a path (`/`, `open`, `Path`, `joinpath` …); otherwise it is a text that only looks like one."""

    parts: tuple[str, ...]
    joined: bool


def imports_of(tree: ast.Module) -> list[Import]:
    """Every import, in functions too, and the literal ones of `import_module` and `pytest_plugins`."""
    visitor = _ImportVisitor()
    visitor.visit(tree)
    return visitor.imports


class _ImportVisitor(ast.NodeVisitor):
    def __init__(self) -> None:
        self.imports: list[Import] = []
        self._optional_depth = 0

    def visit_Import(self, node: ast.Import) -> None:
        self.imports += [Import(module=alias.name, required=not self._optional_depth) for alias in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        names = tuple(alias.name for alias in node.names)
        self.imports.append(
            Import(module=node.module or "", names=names, level=node.level, required=not self._optional_depth)
        )

    def visit_Call(self, node: ast.Call) -> None:
        if _function_name(node) in _IMPORT_CALLS and node.args:
            self._add_optional(_text(node.args[0]))
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Name) and target.id == "pytest_plugins" for target in node.targets):
            for part in ast.walk(node.value):
                self._add_optional(_text(part))
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        self._visit_optional(node)

    def visit_Try(self, node: ast.Try) -> None:
        self._visit_optional(node) if node.handlers else self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        entered = (item.context_expr for item in node.items)
        suppressed = any(
            isinstance(call, ast.Call) and _function_name(call) in ("suppress", "raises") for call in entered
        )
        self._visit_optional(node) if suppressed else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        skipped = any("skip" in ast.unparse(decorator) for decorator in node.decorator_list)
        self._visit_optional(node) if skipped else self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef
    visit_ClassDef = visit_FunctionDef

    def _visit_optional(self, node: ast.AST) -> None:
        self._optional_depth += 1
        self.generic_visit(node)
        self._optional_depth -= 1

    def _add_optional(self, name: str | None) -> None:
        if name and all(part.isidentifier() for part in name.split(".")):
            self.imports.append(Import(module=name, required=False))


def paths_of(tree: ast.Module) -> Iterator[NamedPath]:
    """Every literal path, and every other text that could be one."""
    nodes = list(ast.walk(tree))
    inner = {id(start) for node in nodes if (start := _base_path(node)) is not None}
    for node in nodes:
        joined = not isinstance(node, ast.Constant | ast.JoinedStr)
        if id(node) not in inner and (parts := _tail(node)):
            yield NamedPath(parts=tuple(parts), joined=joined)


def _base_path(node: ast.AST) -> ast.AST | None:
    """The path that this expression extends; it then doesn't count as a path of its own."""
    match node:
        case ast.BinOp(op=ast.Div(), right=ast.Constant() | ast.JoinedStr()):
            return node.left
        case ast.Call(func=ast.Attribute() as function) if _function_name(node) in _PATH_CALLS and _tail(node):
            return function.value
    return None


def _tail(node: ast.AST) -> list[str]:
    """The literal parts at the end of a path expression; none where it ends in something else."""
    match node:
        case ast.Constant() | ast.JoinedStr():
            return _literal(node)
        case ast.BinOp(op=ast.Div()):
            return _join(_tail(node.left), node.right)
        case ast.Call() if _function_name(node) in _PATH_CALLS:
            parts = _tail(node.func.value) if isinstance(node.func, ast.Attribute) else []
            for argument in node.args[:1] if _function_name(node) == "open" else node.args:
                parts = _join(parts, argument)
            return parts
    return []


def _join(parts: list[str], node: ast.AST) -> list[str]:
    """`parts` followed by those of `node`. If `node` is not literal, `parts` are dropped."""
    inner = _tail(node)
    return parts + inner if isinstance(node, ast.Constant | ast.JoinedStr) else inner


def _literal(node: ast.AST) -> list[str]:
    text = _text(node)
    if isinstance(node, ast.JoinedStr):
        text = "".join(_text(part) or "*" for part in node.values)
    if not text or len(text) > _LONGEST_NAME or not text.isprintable() or text.startswith(("/", "~", "**")):
        return []
    return text.split("/")


def _text(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _function_name(node: ast.Call) -> str:
    function = node.func
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""

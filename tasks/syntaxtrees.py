"""Python's parser for threads that parse at the same time. Pure.

CPython 3.11 counts the depth of the tree that it builds in one place for all threads (python/cpython#106905). Where one
is interrupted, as by a finalizer that waits, the other's parse ends in a `SystemError`.
"""

from __future__ import annotations

import ast
import threading
from typing import Any

# A finalizer that runs within a parse may parse, too.
_ONE_AT_A_TIME = threading.RLock()


def parse(source: str) -> ast.Module:
    """The tree of a module. Raises what `ast.parse` raises."""
    with _ONE_AT_A_TIME:
        return ast.parse(source)


def literal(text: str) -> Any:
    """The value of a literal. Raises what `ast.literal_eval` raises."""
    with _ONE_AT_A_TIME:
        return ast.literal_eval(text)

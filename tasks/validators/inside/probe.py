"""Calls the candidate's functions and reports what each call returns, in a form that is equal where the behaviour is.

The candidate runs in another process (`candidate`), as for tests. Nothing here says whether a result is right. Must not
know pytest, nor what the reports are used for.
"""

from __future__ import annotations

import ast
import io
import itertools
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from hashlib import sha256
from typing import Any

from .candidate import pairs_of
from .channels import ConnectionLost
from .standin import Candidate

_REPORT_FD = 9
LOADED = "loaded"
# Of numbers, so that two ways to add up are no two behaviours.
_DIGITS = 9
_DEPTH = 20
_ITEMS = 1000
_CHARS = 1000


def main() -> None:
    """Runs the request on standard input: {calls: [expression, …], channels: [descriptor, …]}. Writes a line when the
    solution has been run, then a line of JSON, a text, for each call as soon as it has ended."""
    request = json.loads(sys.stdin.buffer.read())
    with os.fdopen(_REPORT_FD, "w") as report:
        for line in _lines(request):
            report.write(line + "\n")
            report.flush()
    os._exit(0)  # threads of a candidate don't run any more


def _bounded(outcome: str) -> str:
    """The outcome, or the digest of a long one: a report has a limit, and two long values are only compared."""
    long = len(outcome) > _CHARS
    return f"{len(outcome)} characters, {sha256(outcome.encode()).hexdigest()}" if long else outcome


def _lines(request: Mapping[str, Any]) -> Iterator[str]:
    candidate = Candidate(pairs_of(request["channels"]), frozenset())
    try:
        module = candidate.load("solution")
    except ConnectionLost:
        return
    except BaseException as error:  # noqa: BLE001 - whatever a solution raises is its behaviour
        yield LOADED
        yield from itertools.repeat(json.dumps(f"raises {type(error).__name__}"), len(request["calls"]))
        return
    yield LOADED
    for call in request["calls"]:
        try:
            yield json.dumps(_bounded(_outcome(module, call)))
        except ConnectionLost:
            return


def _outcome(module: Any, call: str) -> str:
    """What the call returns, or what it changes and prints where it returns nothing, or what it raises."""
    expression: Any = ast.parse(call, mode="eval").body
    arguments = [ast.literal_eval(node) for node in expression.args]
    named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in expression.keywords}
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            value = getattr(module, expression.func.id)(*arguments, **named)
            shown = form_of(value)
    except ConnectionLost:
        raise
    except BaseException as error:  # noqa: BLE001 - as above
        return f"raises {type(error).__name__}"
    if value is not None:
        return shown
    return f"None, {form_of([arguments, named])}, {printed.getvalue().strip()}"


def form_of(value: Any, depth: int = 0) -> str:
    """A text that two values share where a test could not tell them apart: 2 and 2.0, sets and dictionaries in any
    order, numbers up to their ninth digit."""
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, complex):
        return f"({_number(value.real)}, {_number(value.imag)}j)"
    if value is None or isinstance(value, str | bytes):
        return repr(value)
    return "…" if depth > _DEPTH else _container(value, depth + 1)


def _container(value: Any, depth: int) -> str:
    match value:
        case dict():
            items = sorted(f"{form_of(key, depth)}: {form_of(item, depth)}" for key, item in value.items())
        case set() | frozenset():
            items = sorted(form_of(item, depth) for item in value)
        case list() | tuple():
            items = [form_of(item, depth) for item in value]
        case _ if hasattr(value, "__next__"):
            items = [form_of(item, depth) for item in itertools.islice(value, _ITEMS)]
        case _:
            return f"a {type(value).__name__}"
    name = "set" if isinstance(value, frozenset) else type(value).__name__
    return f"{name}({', '.join(items)})"


def _number(value: float) -> str:
    if isinstance(value, int) or (value.is_integer() and abs(value) < 10**_DIGITS):
        return format(int(value), "d") if abs(value) < 10**4000 else "a huge number"
    return format(value, f".{_DIGITS}g")

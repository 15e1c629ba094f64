"""Runs a comparison inside the sandbox: once for one order, or in a child of its own for each of many (`--serve`).

The parent has imported everything and reads no order: it forks, waits and says how the child ended, so that nothing of
one candidate is there at the next. Must not know what is compared.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from typing import Any

REPORT = 9
SERVE = "--serve"
READY = b"ready\n"
_PR_SET_DUMPABLE = 4

Comparison = Callable[[Mapping[str, Any]], Any]


def run(compare: Comparison, warm_up: Callable[[], None]) -> None:
    """Answers the order on standard input on the report's pipe, or serves until standard input ends."""
    if SERVE in sys.argv[1:]:
        warm_up()
        _serve(compare)
    else:
        _answer(compare, sys.stdin.buffer.read())


def _serve(compare: Comparison) -> None:
    """Each order is a line of JSON, {bytes, cpu_seconds}, and so many bytes; each end a line, the wait status."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # no child may trace it or open its descriptors
    gc.freeze()  # pages of what was imported stay shared
    os.write(1, READY)
    while header := sys.stdin.buffer.readline():
        limits = json.loads(header)
        order = sys.stdin.buffer.read(limits["bytes"])
        child = os.fork()
        if child == 0:
            _serve_one(compare, order, limits["cpu_seconds"])
        _, status = os.waitpid(child, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _serve_one(compare: Comparison, order: bytes, cpu_seconds: int) -> None:
    status = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)  # its parent's word on how it ended
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        _answer(compare, order)
        status = 0
    finally:
        os._exit(status)


def _answer(compare: Comparison, order: bytes) -> None:
    document = json.loads(order)
    data = json.dumps(compare(document)).encode()
    while data:
        data = data[os.write(document.get("report", REPORT), data) :]

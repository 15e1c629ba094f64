"""Runs a comparison inside the sandbox: once for one request, or as a server with a child for each request (`--serve`).

The parent has imported everything and parses no request: it forks, waits and reports how the child ended, so that
nothing of one candidate is left for the next. Must not know what is compared.
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
    """Answers the request on standard input on the report's pipe, or serves until standard input ends."""
    if SERVE in sys.argv[1:]:
        warm_up()
        _serve(compare)
    else:
        _answer(compare, sys.stdin.buffer.read())


def _serve(compare: Comparison) -> None:
    """Serves requests. Each is a line of JSON, {bytes, cpu_seconds}, followed by that many bytes; when its child ends,
    the exit code is written as a line."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # no child may trace this process or open its descriptors
    gc.freeze()  # the memory of imported modules stays shared
    os.write(1, READY)
    while header := sys.stdin.buffer.readline():
        limits = json.loads(header)
        request = sys.stdin.buffer.read(limits["bytes"])
        child = os.fork()
        if child == 0:
            _serve_one(compare, request, limits["cpu_seconds"])
        _, status = os.waitpid(child, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _serve_one(compare: Comparison, request: bytes, cpu_seconds: int) -> None:
    status = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)  # only the parent reports there how the child ended
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        _answer(compare, request)
        status = 0
    finally:
        os._exit(status)


def _answer(compare: Comparison, request: bytes) -> None:
    document = json.loads(request)
    data = json.dumps(compare(document)).encode()
    while data:
        data = data[os.write(document.get("report", REPORT), data) :]

"""The tests' process: runs pytest on the test files of a check and reports each outcome on a pipe of its own.

The candidate runs in another process (`candidate`), and its modules are stand-ins here. With `isolation: shared` it is
imported into this process, and its changes are watched. Printed text and the exit code count for nothing, only lines
with the nonce, which came on standard input.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from .candidate import pairs_of
from .collecting import Collector, stand_in_for_all
from .reporting import SOLUTION, Reporter, syntax_fields
from .standin import Candidate, Finder

PACKAGES = "/opt/redraft/pytest"
EXCHANGE = "/exchange"


def main() -> None:
    """Runs the request on standard input: {nonce, mode: process|shared|collect, tests: [file, …], imports: [module, …]
    of Python that the tests import, named: [class, …] that occur in the tests, channels: [descriptor, …], asynchronous
    and conftest: whether there are any, exchange: whether the candidate shares files, modules: [name, …] of the
    candidate, folder: whether it is several files}."""
    request = json.loads(sys.stdin.buffer.read())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.path.insert(0, PACKAGES)
    leave = os._exit
    {"process": _in_two_processes, "shared": _in_one_process, "collect": _collect_only}[request["mode"]](request)
    sys.stdout.flush()
    leave(0)  # exit handlers and threads of a candidate don't run any more


def _in_two_processes(request: dict[str, Any]) -> None:
    candidate = Candidate(pairs_of(request["channels"]), frozenset(request["named"]))
    reporter = Reporter(request["nonce"], lambda: candidate.connection_error)
    fault = None if request["folder"] else candidate.compile()
    if fault is not None:
        fields = [str(fault.get(name, "")) for name in ("type", "message", "text")]
        reporter.send("syntax", **syntax_fields(fields[0], fields[1], SOLUTION, int(fault.get("line", 0)), fields[2]))
        return
    sys.meta_path.insert(0, Finder(candidate, request["modules"]))
    if request["exchange"]:
        candidate.follow()
    _run(request, [reporter], reporter)


def _in_one_process(request: dict[str, Any]) -> None:
    from .tampering import TamperWatch, watch_searches

    reporter = Reporter(request["nonce"], lambda: None)
    try:
        if not request["folder"]:
            compile(Path(SOLUTION).read_bytes(), SOLUTION, "exec", dont_inherit=True)
    except SyntaxError as error:
        text = (error.text or "").strip()[:120]
        reporter.send("syntax", **syntax_fields(type(error).__name__, error.msg, SOLUTION, error.lineno or 0, text))
        return
    except (ValueError, MemoryError, RecursionError) as error:
        reporter.send("syntax", **syntax_fields(type(error).__name__, str(error), SOLUTION, 0, ""))
        return
    send = reporter.send

    def report(what: str) -> None:
        send("tampered", what=what)

    for name in ("unittest.case", *request["imports"]):
        importlib.import_module(name)
    watch = TamperWatch(report, request["imports"])
    _run(request, [reporter, watch], reporter, lambda: watch_searches(report, tuple(request["tests"])))


def _collect_only(request: dict[str, Any]) -> None:
    reporter = Reporter(request["nonce"], lambda: None)
    sys.modules[Path(SOLUTION).stem] = stand_in_for_all()
    _run(request, [reporter, Collector(reporter.send)], reporter)


def _run(request: dict[str, Any], plugins: list[Any], reporter: Reporter, before: Any = lambda: None) -> None:
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    import pytest

    folder = str(Path.cwd())
    sys.path += _folders(request["tests"])  # last, so that no file there replaces a module of Python or pytest
    options = ["-q", "--tb=no", "--no-header", "--no-summary", "-p", "no:cacheprovider", "-c", os.devnull]
    options += ["--rootdir", folder, "--confcutdir", folder, "--import-mode=importlib"]
    if not request["conftest"]:
        options.append("--noconftest")
    if request["exchange"] and request["mode"] == "process":
        options.append(f"--basetemp={EXCHANGE}/pytest")
    if request["asynchronous"]:
        options += ["-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto"]
    run, send, lost = pytest.main, reporter.send, reporter.report_loss
    before()
    status = int(run([*options, *request["tests"]], plugins=plugins))
    lost()
    send("finished", status=status)


def _folders(tests: list[str]) -> list[str]:
    """The folders from which the tests import: their own, and those above."""
    folders = [folder for test in tests for folder in (Path.cwd() / test).parents]
    return list(dict.fromkeys(str(folder) for folder in folders if folder.is_relative_to(Path.cwd())))

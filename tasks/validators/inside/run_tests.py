"""The tests' process: runs pytest on the test files of a check and reports each outcome on a pipe of its own.

The candidate runs in another process (`candidate`), and `solution` is a stand-in here; where the check says
`isolation: shared` it is imported here, and what it changes is watched. What anything prints, and the exit code, count
for nothing: only lines that carry the nonce do, which came on standard input.
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
    """Reads the order from standard input, and obeys it: {nonce, mode: process|shared|collect, tests: [file, …],
    imports: [module, …] of Python that the tests import, named: [class, …] that the tests name, channels: [descriptor,
    …], asynchronous, conftest: whether there is any of either, exchange: whether files are shown to the candidate}."""
    order = json.loads(sys.stdin.buffer.read())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.path.insert(0, PACKAGES)
    leave = os._exit
    {"process": _in_two_processes, "shared": _in_one_process, "collect": _collect_only}[order["mode"]](order)
    sys.stdout.flush()
    leave(0)  # at-exit functions and threads of a candidate have no say any more


def _in_two_processes(order: dict[str, Any]) -> None:
    candidate = Candidate(pairs_of(order["channels"]), frozenset(order["named"]))
    reporter = Reporter(order["nonce"], lambda: candidate.lost)
    fault = candidate.compile()
    if fault is not None:
        fields = [str(fault.get(name, "")) for name in ("type", "message", "text")]
        reporter.send("syntax", **syntax_fields(fields[0], fields[1], SOLUTION, int(fault.get("line", 0)), fields[2]))
        return
    sys.meta_path.insert(0, Finder(candidate))
    if order["exchange"]:
        candidate.follow()
    _run(order, [reporter], reporter)


def _in_one_process(order: dict[str, Any]) -> None:
    from .tampering import TamperWatch, watch_searches

    reporter = Reporter(order["nonce"], lambda: None)
    try:
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

    for name in ("unittest.case", *order["imports"]):
        importlib.import_module(name)
    watch = TamperWatch(report, order["imports"])
    _run(order, [reporter, watch], reporter, lambda: watch_searches(report, tuple(order["tests"])))


def _collect_only(order: dict[str, Any]) -> None:
    reporter = Reporter(order["nonce"], lambda: None)
    sys.modules[Path(SOLUTION).stem] = stand_in_for_all()
    _run(order, [reporter, Collector(reporter.send)], reporter)


def _run(order: dict[str, Any], plugins: list[Any], reporter: Reporter, before: Any = lambda: None) -> None:
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    import pytest

    here = str(Path.cwd())
    sys.path += _folders(order["tests"])  # last: no file that appears there stands for one of Python's or pytest's
    options = ["-q", "--tb=no", "--no-header", "--no-summary", "-p", "no:cacheprovider", "-c", os.devnull]
    options += ["--rootdir", here, "--confcutdir", here, "--import-mode=importlib"]
    if not order["conftest"]:
        options.append("--noconftest")
    if order["exchange"] and order["mode"] == "process":
        options.append(f"--basetemp={EXCHANGE}/pytest")
    if order["asynchronous"]:
        options += ["-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto"]
    run, send, lost = pytest.main, reporter.send, reporter.report_loss
    before()
    status = int(run([*options, *order["tests"]], plugins=plugins))
    lost()
    send("finished", status=status)


def _folders(tests: list[str]) -> list[str]:
    """Where the tests find their helpers: beside them, and in the folders above."""
    folders = [folder for test in tests for folder in (Path.cwd() / test).parents]
    return list(dict.fromkeys(str(folder) for folder in folders if folder.is_relative_to(Path.cwd())))

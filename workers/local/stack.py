"""Starts, stops and inspects a local stack from another process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from tasks.errors import PartFailed
from tasks.locations import child_environment
from workers.failures import read_failure
from workers.home import Home
from workers.local.record import ALREADY_RUNNING, DEATHS_BEFORE_DOWN, PartStatus, clean, holder, holding, read_parts
from workers.process import Recorded, end_tree, spawn, tail
from workers.stackfile import StackFile, read

POLL_SECONDS = 0.2
STOP_SECONDS = 60.0
SUPERVISOR = (sys.executable, "-m", "workers.local.supervisor")


def start(
    home: Home,
    options: Mapping[str, str],
    say: Callable[[str], None],
    *,
    attached: bool,
    supervisor_argv: Sequence[str] = SUPERVISOR,
) -> StackFile:
    """Starts the stack if it does not run, waits until it can take work, returns its addresses.

    `options` are settings for its parts (REDRAFT_MODEL, REDRAFT_ENDPOINT). An `attached` stack ends with this process.
    Raises `PartFailed` with the reason; then nothing is left running.
    """
    home.make()
    (home.run / "failure").unlink(missing_ok=True)
    running = read(home.root)
    child = None if running else _spawn_supervisor(home, options, supervisor_argv, attached=attached)
    told, is_running = "", bool(running)
    try:
        while True:
            stack, parts = read(home.root), status(home)
            if stack and parts and all(part.health == "ok" for part in parts):
                return stack
            failed = _failure(home, child, parts)
            if not failed and (child is None or child.poll() == ALREADY_RUNNING):  # another process owns the stack
                alive = holder(home) is not None
                if is_running and not alive:
                    failed = "the stack was stopped while it started"
                elif not alive:  # a `redraft down` held the lock for a moment
                    child = _spawn_supervisor(home, options, supervisor_argv, attached=attached)
                is_running = is_running or alive
            if failed:
                stop(home)
                raise PartFailed(failed)
            told = _progress(home, parts, told, say)
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        if child is not None and holder(home) is None:  # else it would start the stack after `stop` had found none
            child.kill()
            child.wait()
        raise


def is_ours(stack: StackFile) -> bool:
    """Whether this process started the stack's supervisor, attached."""
    process = Recorded(pid=stack.supervisor_pid, started=stack.supervisor_started).find()
    return process is not None and process.ppid() == os.getpid()


def stop(home: Home) -> bool:
    """Stops the stack, even one that is just starting, and cleans up after one whose supervisor was killed; does
    nothing where nothing runs. Returns whether something did."""
    if not home.run.exists():
        return False
    ran = bool(read_parts(home.root))
    while True:
        process = holder(home)
        if process is not None:
            ran = True
            end_tree(process, seconds=STOP_SECONDS)
        try:
            with holding(home):  # no stack may start while the home is cleaned
                clean(home)
                return ran
        except BlockingIOError:  # another supervisor, or another `down`
            time.sleep(POLL_SECONDS)


def status(home: Home) -> list[PartStatus]:
    """The status of each part; a part is `down` if its process has ended since the supervisor recorded it."""
    parts = read_parts(home.root)
    if not parts or read(home.root) is None:
        return []
    return [
        part
        if not part.pid or not part.started or Recorded(pid=part.pid, started=part.started).alive
        else PartStatus(
            name=part.name,
            pid=None,
            port=part.port,
            address=None,
            health="down",
            why=read_failure(home, part.name),
        )
        for part in parts
    ]


def _spawn_supervisor(
    home: Home, options: Mapping[str, str], argv: Sequence[str], *, attached: bool
) -> subprocess.Popen[bytes]:
    environment = {**child_environment(home.root, secrets=True, hooks=True), **options}
    log = home.log / "supervisor.log"
    if attached:
        return spawn(argv, log=log, folder=home.root, environment=environment)
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home.root,
            env=environment,
            start_new_session=True,
        )


def _failure(home: Home, child: subprocess.Popen[bytes] | None, parts: list[PartStatus]) -> str:
    """Why the stack will not start, or empty."""
    failure = home.run / "failure"
    if failure.exists():
        return failure.read_text()
    if child is not None and child.poll() == 0:
        return "the stack was stopped while it started"
    if child is not None and child.poll() not in (None, ALREADY_RUNNING):
        return f"the stack's supervisor ended ({child.returncode}):\n{tail(home.log / 'supervisor.log')}"
    for part in parts:
        if part.health == "down" and part.name != "engine":
            log = home.log / f"{part.name}.log"
            return f"part {part.name} died {DEATHS_BEFORE_DOWN} times while starting:\n{tail(log)}\n(log: {log})"
    return ""


def _progress(home: Home, parts: list[PartStatus], told: str, say: Callable[[str], None]) -> str:
    """Reports which parts are being waited for, whenever that changes; returns the line."""
    waiting = [part.name for part in parts if part.health != "ok"] or ["postgres", "valkey"]
    line = f"waiting for {', '.join(waiting)}"
    progress = home.run / "engine-progress"
    if "engine" in waiting and progress.exists():
        line += f" · {progress.read_text().strip()}"
    if line != told:
        say(line)
    return line

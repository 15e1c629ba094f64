"""The soak's own tools, without a stack: its sequence of faults and its tables."""

from __future__ import annotations

import importlib
import itertools
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import psutil
import pytest

OPS = Path(__file__).parents[2] / "ops"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("faults")


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("soak")


def test_one_seed_is_one_sequence_and_every_kind_comes_before_any_comes_twice(faults: ModuleType) -> None:
    def first(seed: int) -> list[object]:
        return list(itertools.islice(faults.sequence(random.Random(seed), faults.KINDS), 2 * len(faults.KINDS)))

    assert first(7) == first(7)
    assert first(7) != first(8)
    assert {fault.name for fault in first(7)[: len(faults.KINDS)]} == set(faults.KINDS)


def test_a_stopped_process_goes_on_when_the_soak_is_told_to_end(faults: ModuleType) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process, stopping = psutil.Process(sleeper.pid), threading.Event()
    try:
        fault = faults.Fault(part="worker", how="stop", seconds=60.0)
        inflicting = threading.Thread(target=faults.inflict, args=(fault, [process], stopping))
        inflicting.start()
        while process.status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        stopping.set()
        inflicting.join()
        assert not inflicting.is_alive()
        while process.status() == psutil.STATUS_STOPPED:  # the signal arrives when it does; the time-out is the failure
            time.sleep(0.01)
        assert process.status() != psutil.STATUS_STOPPED
    finally:
        sleeper.kill()
        sleeper.wait()


def test_what_was_told_to_end_has_ended_before_recovery_is_measured(faults: ModuleType) -> None:
    slow = "import signal, time; signal.signal(15, lambda *_: (time.sleep(0.5), exit())); print(1, flush=True)"
    slow += "\nwhile True: time.sleep(0.1)"  # one long sleep could begin just after the signal
    child = subprocess.Popen([sys.executable, "-c", slow], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    process, fault = psutil.Process(child.pid), faults.Fault(part="owner", how="term")
    faults.inflict(fault, [process], threading.Event())
    assert process.is_running()
    faults.took_effect(fault, [process], 30.0)
    assert not process.is_running()
    child.stdout.close()
    child.wait()


def test_the_tables_of_an_interrupted_run_tell_what_there_was(soak: ModuleType) -> None:
    rows = [
        {"at": 0.0, "row": "start", "seed": 5},
        {"at": 10.0, "row": "fault", "fault": "worker.kill", "seconds": 16.0, "by_hand": 0, "back": True},
        {"at": 40.0, "row": "fault", "fault": "worker.kill", "seconds": None, "by_hand": 0, "back": False},
        {"at": 50.0, "row": "fault", "fault": "owner.kill", "seconds": 30.0, "by_hand": 1, "back": True},
        {
            "at": 120.0,
            "row": "check",
            "final": False,
            "breaches": [["I1 no job is lost", 3, "it was submitted and is not there"]],
            "submitted": 4,
            "states": {"accepted": 2, "queued": 1},
            "iterations": 5,
            "calls": 9,
        },
    ]
    shown = soak.report(rows)
    lines = {line.split("  ")[0]: line.split() for line in shown.splitlines() if line}
    assert lines["worker.kill"] == ["worker.kill", "2", "1", "0", "1", "16.0", "16.0"]
    assert lines["owner.kill"] == ["owner.kill", "1", "0", "1", "0", "30.0", "30.0"]
    assert lines["lost, doubled, diverged"][-3:] == ["1,", "0,", "0"]
    assert "BROKEN I1 no job is lost: job 3: it was submitted and is not there" in shown
    assert soak.report(rows[:1]).splitlines()[-1] == "no check was made"

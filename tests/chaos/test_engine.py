"""The real engines killed while they stream to a real worker: every job still ends as it would have.

`make chaos` also lets them stand still, and does both to vLLM's EngineCore alone.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest

from tasks.settings import Settings
from tasks.store.invariants import breaches
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, CheckSpec, JobSpec, JobState
from tests.integration.test_worker import eventually, process
from workers.engine.load import read_load
from workers.engine.record import EngineRecord, members, read_record
from workers.home import Home

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1200)]

NEVER = CheckSpec(name="answer", kind="answer", value={"exact": "no model says this 4711"})
ALWAYS = CheckSpec(name="python:t.py", kind="python", value="t.py", files={"t.py": "def test_it():\n    assert True\n"})
CORE = "VLLM::EngineCore"
# The signal, and the process that gets it: the one that answers where none is named.
Fault = tuple[signal.Signals, str | None]
FAULTS: dict[str, list[Fault]] = {"vllm": [(signal.SIGKILL, None)], "llama.cpp": [(signal.SIGKILL, None)]}
if "CHAOS_LONG" in os.environ:
    FAULTS["vllm"] += [(signal.SIGSTOP, None), (signal.SIGKILL, CORE), (signal.SIGSTOP, CORE)]
    FAULTS["llama.cpp"] += [(signal.SIGSTOP, None)]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(root=tmp_path / "home")


@pytest.fixture(params=FAULTS)
def kind(request: pytest.FixtureRequest) -> str:
    """Of engine."""
    return str(request.param)


@pytest.fixture
def environment(fleet_url: str, valkey_url: str, home: Home, kind: str) -> dict[str, str]:
    return {
        "REDRAFT_HOME": str(home.root),
        "REDRAFT_CACHE": str(Settings().cache),
        "REDRAFT_MODEL": "smollm2-135m",
        "REDRAFT_ENGINE": kind,
        "REDRAFT_DATABASE_URL": fleet_url,
        "REDRAFT_BROKER_URL": valkey_url,
    }


def put(user: Database, number: int) -> dict[int, JobState]:
    """Jobs, and the states in which they end where nothing happens to them."""
    wanted = ((NEVER, JobState.UNSOLVED), (NEVER, JobState.UNSOLVED), (ALWAYS, JobState.ACCEPTED))
    specs = [
        JobSpec(
            title=f"Round {number}, job {place}",
            problem=f"Write a long story about the number {10 * number + place}.",
            checks=(check,),
            budget=Budget(iterations=2),
            memory=False,
        )
        for place, (check, _) in enumerate(wanted)
    ]
    made = submit_jobs(user, specs)
    return {one.job: state for one, (_, state) in zip(made, wanted, strict=True)}


def states(user: Database, jobs: Iterable[int]) -> dict[int, JobState]:
    return {job: job_summary(user, job).state for job in jobs}


def running_engine(home: Home) -> EngineRecord:
    record = read_record(home)
    assert record is not None
    return record


def streams(record: EngineRecord) -> bool:
    """Whether it is writing answers at this moment."""
    load = read_load(record.url.removesuffix("/v1"))
    return load is not None and load.running > 0


def _pid(family: Iterable[psutil.Process], name: str) -> int:
    (found,) = (process for process in family if process.cmdline()[:1] == [name])
    return found.pid


def test_every_job_ends_right_though_the_engine_is_killed_or_stands_still_while_it_streams(
    user: Database, fleet: Database, environment: dict[str, str], home: Home, kind: str
) -> None:
    ends = dict[int, JobState]()
    with process(["relay"], environment), process(["worker", "--lane", "gpu,check"], environment) as worker:
        eventually(lambda: (found := read_record(home)) is not None and found.ready, worker, 600)
        url = running_engine(home).url
        for number, (sent, victim) in enumerate(FAULTS[kind]):
            engine = running_engine(home)
            ends |= put(user, number)
            eventually(lambda engine=engine: streams(engine), worker, 300)  # on a machine that does other work
            family = members(engine.process)
            os.kill(_pid(family, victim) if victim else engine.pid, sent)
            eventually(lambda jobs=list(ends): all(state.final for state in states(user, jobs).values()), worker, 600)
            assert states(user, ends) == ends
            assert (running_engine(home).url, running_engine(home).pid == engine.pid) == (url, False)
            assert not psutil.wait_procs(family, timeout=10)[1]
    assert breaches(fleet, submitted=list(ends), drained=True) == ()
    with fleet.connect() as connection:
        faults = connection.exec_driver_sql("SELECT count(*) FROM events WHERE kind = 'fault'").scalar_one()
    assert faults >= len(FAULTS[kind])
    assert read_record(home) is None

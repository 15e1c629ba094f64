"""The supervisor, with an installed program that answers as vLLM would, well or ill as a test says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tasks.errors import CanaryFailed, EngineFault
from tests.background import running as running_tasks
from tests.unit.test_background import Deaths
from workers.background import BackgroundTasks
from workers.engine.child import LOG_BYTES
from workers.engine.placement import Choice
from workers.engine.profiles import Profile, WeightsSource
from workers.engine.server import PORT_TRIES, EngineServer
from workers.engine.vllm import Vllm
from workers.home import Home

# `says`, beside the program, is its answer; `ends`, what it writes before it ends, so long as it lies there; while
# `hangs` does, it makes `hung` and never answers.
PROGRAM = f"""#!{sys.executable}
import json, pathlib, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

here = pathlib.Path(__file__).parent
if (here / "ends").exists():
    sys.exit((here / "ends").read_text())
if (here / "hangs").exists():
    (here / "hung").touch()
    time.sleep(3600)

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({{"version": "9.9"}})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({{"choices": [{{"message": {{"content": (here / "says").read_text()}}}}]}})

    def answer(self, body):
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture
def vllm(tmp_path: Path) -> Path:
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    program.with_name("says").write_text("Hello there.")
    return program


def profile_of(vllm: Path, max_model_len: int = 64) -> Profile:
    return Profile(
        name="tiny",
        engine="vllm-cpu",
        weights=WeightsSource(path=str(vllm.parent)),
        argv=("--attention-backend", "CPU_ATTN"),
        max_model_len=max_model_len,
        width=1,
        slots=1,
        max_answer_tokens=8,
        max_review_tokens=8,
    )


def server_of(vllm: Path, max_model_len: int = 64) -> EngineServer:
    folder = vllm.parents[1]
    return EngineServer(
        Choice(profile=profile_of(vllm, max_model_len)),
        Vllm(vllm),
        home=Home(root=folder / "home"),
        cache=folder / "cache",
        say=lambda line: None,
        watch_seconds=0.05,
        canary_every_seconds=0.0,
    )


def fill_log(home: Path) -> None:
    """The engine's log has grown past its bound, and there is no room for what is to be set aside."""
    log = home / "log" / "engine.log"
    log.with_name("engine.log.1").symlink_to("/dev/full")
    os.truncate(log, LOG_BYTES + 1)


@contextmanager
def running(server: EngineServer) -> Iterator[EngineServer]:
    server.start()
    try:
        with running_tasks(server.watch):
            yield server
    finally:
        server.stop()


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def of(vllm: Path) -> list[int]:
    """The living processes of this program."""
    living = psutil.process_iter(["cmdline", "status"])
    return [p.pid for p in living if str(vllm) in (p.info["cmdline"] or ()) and p.info["status"] != "zombie"]


def test_an_installed_engine_is_started_and_no_environment_is_built(tmp_path: Path, vllm: Path) -> None:
    with running(server_of(vllm)) as server:
        assert server.ready
        assert re.fullmatch(
            r"vllm-cpu 9\.9 tiny weights [0-9a-f]{12} attention CPU_ATTN "
            r"argv --max-model-len 64 --max-num-seqs 16 --no-enable-chunked-prefill --max-num-batched-tokens 2048 "
            r"--attention-backend CPU_ATTN",
            server.describe(),
        )
        assert not (tmp_path / "cache").exists()
    assert of(vllm) == []


def test_one_that_dies_is_started_again_at_the_same_address(vllm: Path) -> None:
    with running(server_of(vllm)) as server:
        url, before = server.url, server.pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        eventually(lambda: not server.ready)
        eventually(lambda: server.ready)
        assert (server.url, server.pid == before, of(vllm)) == (url, False, [server.pid])
    assert of(vllm) == []


def test_no_work_is_taken_from_a_wrong_canary_on_and_the_engine_is_started_anew(vllm: Path) -> None:
    with running(server_of(vllm)) as server:
        before = server.pid
        vllm.with_name("says").write_text("!!!!!!!!!!!!")
        eventually(lambda: server.pid not in (before, None))
        assert not server.ready
        vllm.with_name("says").write_text("Hello there.")
        eventually(lambda: server.ready)


def test_one_that_answers_garbage_from_the_start_is_refused_and_ended(vllm: Path) -> None:
    vllm.with_name("says").write_text("!!!!!!!!!!!!")
    server = server_of(vllm)
    with pytest.raises(CanaryFailed, match="the canary's answer is wrong"):
        server.start()
    assert (server.ready, of(vllm)) == (False, [])


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate", "too little free memory"),
        ("RuntimeError: Cannot find any model weights with", "weights are missing"),
        ("RuntimeError: Found no NVIDIA driver on your system", "the NVIDIA driver is missing"),
        ("OSError: [Errno 98] Address already in use", "the port was taken by another process"),
    ],
)
def test_the_likely_cause_of_a_failed_start_is_told_with_the_log(said: str, cause: str, vllm: Path) -> None:
    vllm.with_name("ends").write_text(said)
    with pytest.raises(EngineFault) as told:
        server_of(vllm).start()
    assert re.match(f"the engine ended: .*{cause}", str(told.value))
    log = vllm.parents[1] / "home" / "log" / "engine.log"
    assert f"(the whole log: {log})" in str(told.value)
    tries = PORT_TRIES if "Address" in said else 1  # another port may be free
    assert log.read_text().count(said) == tries
    assert of(vllm) == []


def test_one_that_ends_again_and_again_is_tried_until_it_answers(vllm: Path) -> None:
    with running(server_of(vllm)) as server:
        log = vllm.parents[1] / "home" / "log" / "engine.log"
        vllm.with_name("ends").write_text("no luck")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: log.read_text().count("no luck") >= 2)
        assert not server.ready
        vllm.with_name("ends").unlink()
        eventually(lambda: server.ready)


# A worker that goes without a word.
WORKER = """
import os, sys
from pathlib import Path
from tests.unit.engine.test_server import server_of
server_of(Path(sys.argv[1])).start()
os._exit(0)
"""


@pytest.mark.parametrize(("max_model_len", "adopted"), [(64, True), (128, False)])
def test_what_a_killed_worker_left_is_adopted_where_its_command_is_the_same_and_else_ended(
    max_model_len: int, adopted: bool, vllm: Path
) -> None:
    subprocess.run([sys.executable, "-c", WORKER, str(vllm)], check=True, cwd=Path(__file__).parents[3])
    (left,) = of(vllm)
    with running(server_of(vllm, max_model_len)) as server:
        assert of(vllm) == [server.pid]
        assert (server.pid == left) is adopted
    assert of(vllm) == []


def test_a_full_disk_ends_the_watch_and_with_it_the_readiness(vllm: Path) -> None:
    server, deaths = server_of(vllm), Deaths()
    tasks = BackgroundTasks(deaths)
    server.start()
    try:
        fill_log(vllm.parents[1] / "home")
        tasks.start("engine watch", server.watch)
        deaths.wait()
        assert "OSError: [Errno 28] No space left on device" in deaths.said[0]
        assert not server.ready
        assert tasks.stop() == ()
    finally:
        server.stop()
    assert of(vllm) == []


def test_a_stop_is_heard_while_the_engine_is_being_started_again(vllm: Path) -> None:
    server, deaths = server_of(vllm), Deaths()
    tasks = BackgroundTasks(deaths)
    server.start()
    try:
        tasks.start("engine watch", server.watch)
        vllm.with_name("hangs").touch()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: vllm.with_name("hung").exists())
        assert tasks.stop() == ()
    finally:
        server.stop()
    assert (deaths.said, server.ready, of(vllm)) == ([], False, [])

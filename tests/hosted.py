"""What the tests of hosted engines share, whichever engine it is: a client, heartbeats, prompts, and the engine that a
killed worker leaves."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import Cancelled
from tasks.llm.chat import OpenAIChatModel
from tasks.prompts import build
from tasks.types import Candidate, CandidateRef, ChatRequest, Job, Message, Operator, Verdict
from tests.unit.prompts.cases import VISIBLE
from workers.engine.record import end_recorded
from workers.engine.server import EngineServer
from workers.home import Home

# What a worker does, as far as the engine can see; it is killed, and leaves its engine.
WORKER = """
import importlib, sys, time
from pathlib import Path
from workers.home import Home
engine = importlib.import_module(sys.argv[1]).server(Home(root=Path(sys.argv[2])))
engine.start()
print(engine.pid, engine.url, flush=True)
time.sleep(1000)
"""


class Heartbeat:
    """Counts tokens; stops the step after `most`."""

    def __init__(self, most: int = 10_000) -> None:
        self.tokens, self.most = 0, most

    def beat(self, tokens: int = 0) -> None:
        self.tokens += tokens

    def wrote(self, text: str, thoughts: str, *, anew: bool = False) -> None: ...

    def expect_silence(self, seconds: float) -> None: ...

    def check(self) -> None:
        if self.tokens >= self.most:
            raise Cancelled("enough")


class Started(Heartbeat):
    """Says when the first token has come."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self._event = event

    def beat(self, tokens: int = 0) -> None:
        super().beat(tokens)
        if tokens:
            self._event.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a killed worker's engine was."""

    pid: int
    url: str


@contextlib.contextmanager
def left_by_a_killed_worker(module: str, home: Home) -> Iterator[Left]:
    """An engine of `server(home)` in `module`, whose worker was killed; it is ended afterwards."""
    command = [sys.executable, "-c", WORKER, module, str(home.root)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    assert worker.stdout is not None
    pid, url = worker.stdout.readline().split()
    worker.kill()
    worker.wait()
    worker.stdout.close()
    yield Left(pid=int(pid), url=url)
    end_recorded(home)


def client(engine: EngineServer) -> OpenAIChatModel:
    """One of the engine's own capabilities."""
    return OpenAIChatModel(
        base_url=engine.url,
        model=engine.model,
        api_key="none",
        context_tokens=4096,
        first_token_seconds=120,
        token_silence_seconds=60,
        extra={},
        engine="test",
        capabilities=engine.capabilities,
    )


def ask(text: str = "Say hello.", **fields: object) -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", content=text),), **fields)  # type: ignore[arg-type]


def iteration(job: Job, number: int, text: str) -> list[Sequence[Message]]:
    """The prompts of one iteration: a draft, its review, its judge's report and the revision."""
    ref = CandidateRef(iteration=number, slot=0)
    said = Verdict(check=VISIBLE.name, kind="python", passed=False, score=0.0, held_out=False, feedback=f"{text} fails")
    candidate = Candidate(ref=ref, operator=Operator.DRAFT, text=text, root=ref, verdicts=(said,))
    return [
        build.draft(job),
        build.review(job, candidate),
        build.judge(job, candidate, "", "# Task\nJudge it.", "Write your judgement now."),
        build.revise(job, candidate, (f"`{text}` is wrong",)),
    ]

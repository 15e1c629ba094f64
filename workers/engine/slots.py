"""The slots of a llama.cpp server that Redraft runs. A slot in use is never looked at for the prefix of another, so a
prompt is read into an idle one, saved to a file, and restored into others; the server then sends each request to an
idle slot that begins as the request does (`--slot-prompt-similarity`). It must not know whose requests these are.

https://github.com/ggml-org/llama.cpp/tree/master/tools/server: `/completion` with `n_predict` 0, `/slots`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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


class LlamaCppSlots:
    """Implements `PromptSlots`. `folder` is the server's `--slot-save-path`, `context_tokens` the KV of all slots;
    `thinking` has the fields of a request with which the model thinks: a template may write them into the prompt."""

    def __init__(self, root: str, *, folder: Path, context_tokens: int, thinking: Thinking) -> None:
        self._root, self._folder = root, folder
        self._context_tokens, self._thinking = context_tokens, thinking

    def read(self, size: RequestSize, heartbeat: Heartbeat) -> int:
        """See `PromptSlots.read`; the server says how far it is after each batch."""
        prompt = self._rendered(size)
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
            targets = self._targets(slot, copies)
            if targets:
                with ThreadPoolExecutor(len(targets)) as pool:  # all of them between the same two steps
                    list(pool.map(lambda target: self._act(target, "restore", name), targets))
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

    def _targets(self, source: int, copies: int) -> Sequence[int]:
        """Idle slots to restore into. Where the KV space has no room for more sequences, those whose own makes room:
        the server throws none out for a sequence that is restored, as it does for one that is computed."""
        page: list[dict[str, Any]] = fetch(f"{self._root}/slots", seconds=ACTION_SECONDS)
        try:
            held = {int(slot["id"]): int(slot.get("n_prompt_tokens", 0)) for slot in page}
            idle = [slot for slot in page if not slot["is_processing"] and slot["id"] != source]
            targets = [int(slot["id"]) for slot in sorted(idle, key=lambda slot: slot.get("id_task", -1))]
        except (KeyError, TypeError) as error:
            raise EngineFault(f"{self._root}/slots: these are no slots: {str(page)[:200]}") from error
        if sum(held.values()) + copies * held.get(source, 0) > self._context_tokens:
            targets.sort(key=lambda slot: not held[slot])
        return targets[:copies]

    def _act(self, slot: int, action: str, name: str) -> None:
        fetch(f"{self._root}/slots/{slot}?action={action}", body={"filename": name}, seconds=ACTION_SECONDS)

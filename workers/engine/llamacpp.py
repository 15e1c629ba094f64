"""llama.cpp as an engine: the wheel's server, or a `llama-server` of the user's own. Knows no processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.llm.capabilities import Capabilities
from tasks.llm.thoughts import Thinking
from workers.engine.backend import Installation
from workers.engine.building import Say
from workers.engine.environment import ensure_environment, pinned_version
from workers.engine.load import EngineLoad, read_load
from workers.engine.placement import Choice
from workers.engine.prefill import PromptSlots
from workers.engine.probe import fetch
from workers.engine.slots import LlamaCppSlots
from workers.engine.weights import ensure_gguf
from workers.home import Home
from workers.packaged import ops

# What the wheel's server says of its build.
NO_BUILD = "b0-unknown"
# On a processor a step takes as long as its tokens: with the server's own 2048 the answers that run beside a long
# prompt stand still for half a minute, and a cancelled request ends as late. Prompts are read as fast.
CPU_BATCH_TOKENS = 256
# Prompts of idle slots are kept here, in MiB of the machine's memory; the server's own default is 8192.
CACHE_RAM_MIB = 512
# Threads that only wait: a connection holds one until its answer has ended, and where others' requests hold them all,
# the server is silent at /health, too. With its own default it was beside 40 streams, and not beside 16.
HTTP_THREADS = 256
# `Home.run`, as the server sees it.
SAVED = "run"
# Else the server empties all idle slots whenever a request begins, and with them the copies for the requests that
# follow; prompts that don't fit into the cache in RAM would be lost for the next iteration, too.
KEEP_IDLE_SLOTS = {"LLAMA_ARG_CACHE_IDLE_SLOTS": "0"}


class LlamaCpp:
    """Implements `Backend`. `program` is a `llama-server` to use instead of the one that Redraft installs; it gets the
    very same command line."""

    capabilities = Capabilities(choices="grammar", tokenizer="text", repetition=False)

    def __init__(self, program: Path | None = None) -> None:
        self._program = program

    def prepare(self, choice: Choice, cache: Path, say: Say) -> Installation:
        """See `Backend.prepare`."""
        if self._program is not None:
            program: tuple[str, ...] = (str(self._program),)
        else:
            python = ensure_environment("llama.cpp", cache, say)
            program = (str(python), str(ops("engine") / "llama_server.py"))
        return Installation(program=program, model=str(ensure_gguf(choice.profile, cache, say)))

    def flags(self, choice: Choice) -> Sequence[str]:
        """Where the KV space is less than the longest requests together, all slots have one, so that each takes what
        its request needs. Where it is as much, each has its own, since in a space of all each token's attention reads
        the others' tokens, too: on a processor, sixteen prompts and their answers took half as long again.

        Prompts are saved, to be copied into other slots, in a folder of the home, which the server runs in."""
        context, slots = context_tokens(choice), choice.max_num_seqs
        flags = ["--ctx-size", str(context), "--parallel", str(slots), "--slot-save-path", SAVED]
        if context < slots * choice.profile.max_model_len:
            flags.append("--kv-unified")
        flags += ["--cache-ram", str(CACHE_RAM_MIB), "--metrics", "--slots", "--jinja"]
        flags += ["--threads-http", str(HTTP_THREADS)]
        flags += ["--n-gpu-layers", str(choice.gpu_layers)]
        if choice.tensor_split:
            flags += ["--tensor-split", ",".join(f"{share:g}" for share in choice.tensor_split)]
        if not choice.gpu_layers:
            flags += ["--batch-size", str(CPU_BATCH_TOKENS), "--ubatch-size", str(CPU_BATCH_TOKENS)]
        if choice.threads:
            flags += ["--threads", str(choice.threads), "--threads-batch", str(choice.threads)]
        return [*flags, *choice.profile.argv]

    def command(self, choice: Choice, installation: Installation, port: int) -> list[str]:
        """See `Backend.command`."""
        address = ("--alias", choice.profile.name, "--host", "127.0.0.1", "--port", str(port))
        return [*installation.program, "-m", installation.model, *address, *self.flags(choice)]

    def environment(self, choice: Choice) -> Mapping[str, str]:
        """What older builds don't know is no flag: they would not start."""
        return KEEP_IDLE_SLOTS

    def version(self, root: str) -> str:
        """The build of a user's own server; the wheel's version of the one that Redraft installs."""
        build = str((fetch(f"{root}/props") or {}).get("build_info", ""))
        return build if self._program or build != NO_BUILD else pinned_version("llama.cpp")

    def attention(self, choice: Choice, log: str) -> str:
        """See `Backend.attention`."""
        return ""

    def slots(self, choice: Choice, root: str, home: Home) -> PromptSlots | None:
        """See `Backend.slots`; they are its own, and a prompt is read once for all where it is copied."""
        thinking = choice.profile.thinking
        return LlamaCppSlots(
            root,
            folder=home.root / SAVED,
            context_tokens=context_tokens(choice),
            thinking=thinking.fields if thinking else Thinking(),
        )

    def load(self, choice: Choice, root: str) -> EngineLoad | None:
        """Its KV space counts in tokens, each request's apart: slots share none."""
        load = read_load(root)
        return dataclasses.replace(load, kv_blocks=context_tokens(choice), block_tokens=1) if load else None


def context_tokens(choice: Choice) -> int:
    """The KV space of all slots together, in tokens; what each slot may need at most where the choice doesn't say."""
    return choice.context_tokens or choice.profile.max_model_len * choice.max_num_seqs

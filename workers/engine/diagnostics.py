"""Reads an engine's log: why the engine ended, for people, with the lines that show it, and which kernels it chose."""

from __future__ import annotations

import itertools
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

READ_BYTES = 256 * 1024
SHOWN_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A text in an engine's log (`sign`, in any case), and its meaning."""

    sign: str
    meaning: str


PORT_TAKEN = Diagnosis(sign="address already in use", meaning="the port was taken by another process")

# The same of llama.cpp, which tells no reason.
PORT_TAKEN_LLAMA = Diagnosis(sign="couldn't bind HTTP server socket", meaning=PORT_TAKEN.meaning)

# More specific signs come first, since the log of one failure may contain several.
DIAGNOSES = (
    PORT_TAKEN,
    PORT_TAKEN_LLAMA,
    Diagnosis(sign="No space left on device", meaning="the disk is full"),
    Diagnosis(
        sign="No available memory for the cache blocks",
        meaning="no memory is left for the KV cache; lower max_model_len or take a smaller profile",
    ),
    Diagnosis(
        sign="larger than the available KV cache memory",
        meaning="one sequence of max_model_len tokens does not fit into the KV cache; lower max_model_len",
    ),
    Diagnosis(
        sign="less than desired GPU memory utilization",
        meaning="another process holds memory of the GPU; end it, or lower gpu_memory_utilization",
    ),
    Diagnosis(
        sign="unknown model architecture",
        meaning="this llama.cpp is older than the model's architecture; set REDRAFT_LLAMA_SERVER to a newer one",
    ),
    Diagnosis(
        sign="invalid magic characters", meaning="the weights are no GGUF; remove them and `redraft engine pull`"
    ),
    Diagnosis(
        sign="is not within the file bounds",
        meaning="the GGUF is cut short or damaged; remove it and `redraft engine pull`",
    ),
    Diagnosis(sign="failed to open GGUF file", meaning="weights are missing; `redraft engine pull` fetches them"),
    Diagnosis(
        sign="failed to allocate buffer for kv cache",
        meaning="no memory is left for the KV cache; lower max_num_seqs or max_model_len, or take a smaller profile",
    ),
    Diagnosis(
        sign="failed to allocate buffer of size",
        meaning="there is too little free memory; end what else uses it, or take a smaller profile",
    ),
    Diagnosis(
        sign="out of memory",
        meaning="there is too little free memory; end what else uses it, or take a smaller profile",
    ),
    Diagnosis(sign="MemoryError", meaning="the machine's memory is used up"),
    Diagnosis(sign="driver version is insufficient", meaning="the NVIDIA driver is too old for this engine's CUDA"),
    Diagnosis(sign="driver on your system is too old", meaning="the NVIDIA driver is too old for this engine's CUDA"),
    Diagnosis(sign="Found no NVIDIA driver", meaning="the NVIDIA driver is missing"),
    Diagnosis(sign="libcuda.so.1", meaning="the NVIDIA driver is missing"),
    Diagnosis(
        sign="Driver/library version mismatch",
        meaning="the NVIDIA driver was updated under a running kernel module; restart the machine",
    ),
    Diagnosis(
        sign="forward compatibility was attempted", meaning="the NVIDIA driver is too old for this engine's CUDA"
    ),
    Diagnosis(sign="unsupported display driver", meaning="the NVIDIA driver does not fit to this engine's CUDA"),
    Diagnosis(sign="no kernel image is available", meaning="this engine has no kernels for the GPU's architecture"),
    Diagnosis(
        sign="CUDA error", meaning="the GPU or its driver reports an error; `nvidia-smi` and the kernel's log say more"
    ),
    Diagnosis(sign="NCCL error", meaning="the GPUs could not talk to each other"),
    Diagnosis(
        sign="Failed to infer device type", meaning="this vLLM finds no device; `redraft engine pull` repairs it"
    ),
    Diagnosis(
        sign="401 Client Error", meaning="the hub wants a login; accept the model's licence and run `hf auth login`"
    ),
    Diagnosis(sign="gated repo", meaning="the hub wants a login; accept the model's licence and run `hf auth login`"),
    Diagnosis(
        sign="is not a valid model identifier", meaning="the hub knows no such model; look at the profile's weights"
    ),
    Diagnosis(sign="Cannot find any model weights", meaning="weights are missing; `redraft engine pull` fetches them"),
    Diagnosis(
        sign="does not appear to have a file named", meaning="weights are missing; `redraft engine pull` fetches them"
    ),
    Diagnosis(sign="LocalEntryNotFoundError", meaning="weights are missing; `redraft engine pull` fetches them"),
    Diagnosis(
        sign="Invalid repository ID or local directory",
        meaning="weights are missing; `redraft engine pull` fetches them",
    ),
    Diagnosis(
        sign="SafetensorError", meaning="a file of the weights is damaged; remove them and `redraft engine pull`"
    ),
    Diagnosis(sign="unrecognized arguments", meaning="this engine does not know a flag of the profile"),
    Diagnosis(
        sign="error: invalid argument", meaning="this llama-server does not know a flag of the profile, or of ours"
    ),
    Diagnosis(sign="invalid choice", meaning="this engine does not know a value of a flag of the profile"),
    Diagnosis(
        sign="error while loading shared libraries",
        meaning="a shared library of the llama-server is missing; the line names it",
    ),
    Diagnosis(
        sign="error loading model",
        meaning="llama.cpp can't read the model; `redraft engine pull` repairs it where it is damaged",
    ),
)


SIGNAL_HINTS: dict[int, str] = {
    signal.SIGKILL: "; the kernel kills the largest process where memory runs out",
    signal.SIGILL: "; its program was built for another processor",
}


def diagnose(log_text: str) -> Diagnosis | None:
    """The first diagnosis whose sign occurs in a log."""
    lower_case = log_text.lower()
    return next((diagnosis for diagnosis in DIAGNOSES if diagnosis.sign.lower() in lower_case), None)


def explain(log_text: str, *, exit_code: int | None = None) -> str:
    """Explains to people why an engine ended: the likely cause, the line that shows it, and the last lines."""
    lines = [line for line in log_text.splitlines() if line.strip()]
    diagnosis = diagnose(log_text)
    if diagnosis is None and exit_code is not None and exit_code < 0:
        ended = f"the engine was ended by signal {-exit_code}"
        return "\n".join([ended + SIGNAL_HINTS.get(-exit_code, ""), *lines[-SHOWN_LINES:]])
    if diagnosis is None:
        return "\n".join(["the engine ended, and its log names no known cause:", *lines[-SHOWN_LINES:]])
    evidence = next(line for line in lines if diagnosis.sign.lower() in line.lower())
    last = lines[-SHOWN_LINES:]
    return "\n".join([f"the engine ended: {diagnosis.meaning}", *([] if evidence in last else [evidence]), *last])


def attention(log_text: str) -> str:
    """The attention backends that vLLM's log names, in its order; empty where it names none (its CPU platform)."""
    return "+".join(dict.fromkeys(re.findall(r"Using (\w+) attention backend", log_text)))


def attention_asked(argv: Sequence[str]) -> str:
    """The attention backend that a command line requests; empty where it leaves the choice to the engine."""
    flag = "--attention-backend"
    values = [part.removeprefix(f"{flag}=") for part in argv if part.startswith(f"{flag}=")]
    values += [value for part, value in itertools.pairwise(argv) if part == flag]
    return values[-1] if values else ""


def read_since(log: Path, start: int) -> str:
    """The text of a log from byte `start` on, at most its last 256 KiB."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(0, min(start, end), end - READ_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""

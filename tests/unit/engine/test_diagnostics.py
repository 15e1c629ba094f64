from __future__ import annotations

from pathlib import Path

import pytest

from workers.engine.diagnostics import attention, explain, read_since


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate", "too little free memory"),
        ("OSError: [Errno 98] error while attempting to bind: address already in use", "the port was taken"),
        ("RuntimeError: The NVIDIA driver on your system is too old", "driver is too old"),
        ("OSError: m does not appear to have a file named config.json", "weights are missing"),
        ("vllm: error: unrecognized arguments: --fast", "does not know a flag"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("ImportError: libcuda.so.1: cannot open shared object file", "driver is missing"),
        ("safetensors_rust.SafetensorError: Error while deserializing header", "weights is damaged"),
        ("ValueError: No available memory for the cache blocks.", "KV cache"),
        ("E srv start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080", "the port was taken"),
        (
            "error loading model architecture: unknown model architecture: 'lhama'",
            "older than the model's architecture",
        ),
        ("E gguf_init_from_reader: invalid magic characters: 'no g', expected 'GGUF'", "no GGUF"),
        (
            "error loading model: tensor 'x' data is not within the file bounds, model is corrupted",
            "cut short or damaged",
        ),
        ("failed to initialize the context: failed to allocate buffer for kv cache", "KV cache"),
        ("ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory", "too little free memory"),
        ("llama-server: error while loading shared libraries: libcudart.so.12: cannot open", "shared library"),
        ("error: invalid argument: --kv-unified", "does not know a flag"),
    ],
)
def test_the_likely_cause_is_told_with_the_line_that_shows_it(line: str, meaning: str) -> None:
    log = "\n".join(
        ["INFO starting", line, *(f"Traceback line {number}" for number in range(30)), "RuntimeError: see above"]
    )
    told = explain(log, exit_code=1)
    assert meaning in told.splitlines()[0]
    assert line in told
    assert told.endswith("RuntimeError: see above")
    assert len(told.splitlines()) < 12


def test_an_unknown_end_shows_the_last_lines() -> None:
    assert explain("one\ntwo", exit_code=1) == "the engine ended, and its log names no known cause:\none\ntwo"


def test_an_engine_that_was_killed_is_said_to_be() -> None:
    assert "signal 9; the kernel kills the largest process" in explain("INFO all is well", exit_code=-9)
    assert "signal 4; its program was built for another processor" in explain("", exit_code=-4)


def test_a_log_is_read_from_this_start_on(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("out of memory, last week\n")
    start = log.stat().st_size
    log.write_text(log.read_text() + "today\n")
    assert read_since(log, start) == "today\n"
    assert read_since(log, 10_000) == ""
    assert read_since(tmp_path / "none", 0) == ""


def test_the_attention_backends_are_read_from_the_log() -> None:
    said = "INFO Using FLASH_ATTN attention backend out of potential backends: ['FLASH_ATTN']."
    assert attention(f"{said}\nINFO Using TRITON_ATTN attention backend out of\n{said}") == "FLASH_ATTN+TRITON_ATTN"
    assert attention("INFO all is well") == ""

"""llama.cpp's server out of the wheel `xllamacpp`, started with flags of `llama-server`: those that Redraft uses.

Runs in the engine's own environment and imports nothing of ours. A user's own `llama-server` takes the same command
line. TERM ends it at once: it has no handler, and nothing to finish.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

import xllamacpp as llama

FLASH_ATTENTION = {
    "auto": llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
REASONING = {
    "none": llama.common_reasoning_format.COMMON_REASONING_FORMAT_NONE,
    "auto": llama.common_reasoning_format.COMMON_REASONING_FORMAT_AUTO,
    "deepseek": llama.common_reasoning_format.COMMON_REASONING_FORMAT_DEEPSEEK,
    "deepseek-legacy": llama.common_reasoning_format.COMMON_REASONING_FORMAT_DEEPSEEK_LEGACY,
}
# What a KV cache can be stored as.
CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
MOST_DEVICES = 128
# What llama-server takes for no in the variables that stand for flags.
FALSE = ("0", "false", "off", "disabled")


def parser() -> argparse.ArgumentParser:
    """The flags, named as llama-server names them."""
    flags = argparse.ArgumentParser(prog="llama_server", allow_abbrev=False)
    flags.add_argument("-m", "--model", required=True)
    flags.add_argument("-a", "--alias")
    flags.add_argument("--host", default="127.0.0.1")
    flags.add_argument("--port", type=int, default=8080)
    flags.add_argument("-c", "--ctx-size", type=int, default=0)
    flags.add_argument("-np", "--parallel", type=int, default=1)
    flags.add_argument("-t", "--threads", type=int)
    flags.add_argument("-tb", "--threads-batch", type=int)
    flags.add_argument("--threads-http", type=int)
    flags.add_argument("-b", "--batch-size", type=int)
    flags.add_argument("-ub", "--ubatch-size", type=int)
    flags.add_argument("-ngl", "--n-gpu-layers", type=int)
    flags.add_argument("-ts", "--tensor-split", type=_shares)
    flags.add_argument("-kvu", "--kv-unified", action=argparse.BooleanOptionalAction, default=None)
    flags.add_argument("-ctk", "--cache-type-k", choices=CACHE_TYPES)
    flags.add_argument("-ctv", "--cache-type-v", choices=CACHE_TYPES)
    flags.add_argument("-fa", "--flash-attn", choices=sorted(FLASH_ATTENTION))
    flags.add_argument("-cram", "--cache-ram", type=int)
    flags.add_argument("--cache-reuse", type=int)
    flags.add_argument("--slot-save-path")
    flags.add_argument("--metrics", action="store_true")
    flags.add_argument("--slots", action=argparse.BooleanOptionalAction, default=None)
    flags.add_argument("--jinja", action=argparse.BooleanOptionalAction, default=None)
    flags.add_argument("--chat-template")
    flags.add_argument("--reasoning-format", choices=sorted(REASONING))
    flags.add_argument("--mmproj")
    return flags


def parameters(asked: argparse.Namespace) -> llama.CommonParams:
    """llama.cpp's own parameters; a flag that was left out leaves its default."""
    params = llama.CommonParams()
    params.model.path = asked.model
    params.hostnames, params.port = [asked.host], asked.port
    params.n_ctx, params.n_parallel = asked.ctx_size, asked.parallel
    params.endpoint_metrics = asked.metrics
    if asked.alias:
        params.model_alias = {asked.alias}
    if asked.threads:
        params.cpuparams.n_threads = asked.threads
    if asked.threads_batch or asked.threads:
        params.cpuparams_batch.n_threads = asked.threads_batch or asked.threads
    if asked.tensor_split:
        params.tensor_split = asked.tensor_split
    if asked.slot_save_path:
        params.slot_save_path = f"{asked.slot_save_path}/"  # names are appended to it
    if asked.mmproj:
        params.mmproj.path = asked.mmproj
    plain = {
        "n_threads_http": asked.threads_http,
        "n_batch": asked.batch_size,
        "n_ubatch": asked.ubatch_size,
        "n_gpu_layers": asked.n_gpu_layers,
        "kv_unified": asked.kv_unified,
        "cache_type_k": _cache_type(asked.cache_type_k),
        "cache_type_v": _cache_type(asked.cache_type_v),
        "flash_attn_type": FLASH_ATTENTION.get(asked.flash_attn),
        "cache_ram_mib": asked.cache_ram,
        "n_cache_reuse": asked.cache_reuse,
        "cache_idle_slots": os.environ.get("LLAMA_ARG_CACHE_IDLE_SLOTS", "1") not in FALSE,
        "endpoint_slots": asked.slots,
        "use_jinja": asked.jinja,
        "chat_template": asked.chat_template,
        "reasoning_format": REASONING.get(asked.reasoning_format),
    }
    for name, value in plain.items():
        if value is not None:
            setattr(params, name, value)
    return params


def _shares(text: str) -> list[float]:
    shares = [float(share) for share in text.split(",")]
    if len(shares) > MOST_DEVICES:
        raise argparse.ArgumentTypeError(f"at most {MOST_DEVICES} shares")
    return shares + [0.0] * (MOST_DEVICES - len(shares))


def _cache_type(name: str | None) -> llama.ggml_type | None:
    return getattr(llama.ggml_type, f"GGML_TYPE_{name.upper()}") if name else None


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until it is ended; returns 1 where the model can't be served."""
    asked = parser().parse_args(argv)
    try:
        server = llama.Server(parameters(asked))
    except (RuntimeError, ValueError) as error:
        print(f"llama.cpp can't serve {asked.model}: {error}", file=sys.stderr, flush=True)
        return 1
    print(f"xllamacpp {llama.__version__} listens on {server.listening_address}", file=sys.stderr, flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())

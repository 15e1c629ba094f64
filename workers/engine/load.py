"""The load that a vLLM or a llama.cpp server reports at `/metrics`. It must not know how the load is used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from workers.http_client import RequestFailed, request

METRICS_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLoad:
    """Requests `running` and `waiting` now and the share of KV space in use; the others count from the engine's start.

    The KV space has `kv_blocks` of `block_tokens` tokens each, 0 where it isn't said; sequences with equal beginnings
    hold those blocks once where it has a `prefix_cache`. Of `prefix_queries` prompt tokens
    `prefix_hits` were found in the prefix cache; `preemptions` sequences were thrown out, to be computed again.
    `steps` of the model were computed for whatever batch there was: they move while tokens of a long prompt, or of an
    answer that llama.cpp has not ended, do not.
    """

    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0
    kv_blocks: int = 0
    block_tokens: int = 0
    prefix_cache: bool = False
    tokens: int = 0
    prefix_queries: int = 0
    prefix_hits: int = 0
    preemptions: int = 0
    steps: int = 0


def read_load(root: str, *, key: str = "", seconds: float = METRICS_SECONDS) -> EngineLoad | None:
    """The load of the server at `root`; None where it doesn't report it, or is neither of them."""
    try:
        return parse_load(request(f"{root}/metrics", key=key, seconds=seconds))
    except RequestFailed:
        return None


def parse_load(text: str) -> EngineLoad | None:
    """Parses Prometheus's text format and sums over the engine's cores; None where it is from another kind of server.

    llama.cpp names neither its KV space nor what is used of it.
    """
    totals: dict[str, float] = defaultdict(float)
    blocks, block_tokens, cores, prefix_cache = 0, 0, 0, False
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "vllm:cache_config_info":
                    blocks += max(0, _whole(sample.labels.get("num_gpu_blocks")) - 1)  # one is vLLM's own
                    block_tokens = _whole(sample.labels.get("block_size"))
                    prefix_cache = sample.labels.get("enable_prefix_caching") == "True"
                elif sample.name.startswith(("vllm:", "llamacpp:")):
                    totals[sample.name] += sample.value
                    cores += sample.name == "vllm:num_requests_running"
    except ValueError:
        return None
    if not totals:
        return None
    if "llamacpp:requests_processing" in totals:
        return _of_llama_cpp(totals)
    return EngineLoad(
        running=int(totals["vllm:num_requests_running"]),
        waiting=int(totals["vllm:num_requests_waiting"]),
        kv_usage=totals["vllm:kv_cache_usage_perc"] / max(1, cores),
        kv_blocks=blocks,
        block_tokens=block_tokens,
        prefix_cache=prefix_cache,
        tokens=int(totals["vllm:prompt_tokens_total"] + totals["vllm:generation_tokens_total"]),
        prefix_queries=int(totals["vllm:prefix_cache_queries_total"]),
        prefix_hits=int(totals["vllm:prefix_cache_hits_total"]),
        preemptions=int(totals["vllm:num_preemptions_total"]),
        steps=int(totals["vllm:iteration_tokens_total_count"]),
    )


def _of_llama_cpp(totals: Mapping[str, float]) -> EngineLoad:
    computed, cached = (int(totals[f"llamacpp:prompt_tokens_{name}"]) for name in ("total", "cached_total"))
    return EngineLoad(
        running=int(totals["llamacpp:requests_processing"]),
        waiting=int(totals["llamacpp:requests_deferred"]),
        tokens=computed + int(totals["llamacpp:tokens_predicted_total"]),
        prefix_queries=computed + cached,
        prefix_hits=cached,
        steps=int(totals["llamacpp:n_decode_total"]),
    )


def _whole(label: str | None) -> int:
    return int(label) if label and label.isdigit() else 0

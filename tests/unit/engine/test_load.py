"""The engine's load, out of what vLLM 0.32 printed at /metrics."""

from __future__ import annotations

from workers.engine.load import EngineLoad, parse_load

PRINTED = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="smollm2-135m"} 3.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="smollm2-135m"} 2.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="smollm2-135m"} 0.25
# HELP vllm:prefix_cache_queries_total Prefix cache queries, in terms of number of queried tokens.
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="smollm2-135m"} 1200.0
# HELP vllm:prefix_cache_queries_created Prefix cache queries, in terms of number of queried tokens.
# TYPE vllm:prefix_cache_queries_created gauge
vllm:prefix_cache_queries_created{engine="0",model_name="smollm2-135m"} 1.7640755e+09
# HELP vllm:prefix_cache_hits_total Prefix cache hits, in terms of number of cached tokens.
# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total{engine="0",model_name="smollm2-135m"} 768.0
# HELP vllm:num_preemptions_total Cumulative number of preemption from the engine.
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{engine="0",model_name="smollm2-135m"} 1.0
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="smollm2-135m"} 1300.0
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="smollm2-135m"} 700.0
# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="128",enable_prefix_caching="True",engine="0",num_gpu_blocks="728"} 1.0
"""


def test_a_vllms_metrics_are_read() -> None:
    assert parse_load(PRINTED) == EngineLoad(
        running=3,
        waiting=2,
        kv_usage=0.25,
        kv_blocks=727,
        block_tokens=128,
        prefix_cache=True,
        tokens=2000,
        prefix_queries=1200,
        prefix_hits=768,
        preemptions=1,
    )


def test_two_cores_of_one_engine_are_added_up() -> None:
    both = parse_load(
        PRINTED + "\n".join(line for line in PRINTED.splitlines() if line[0] != "#").replace('"0"', '"1"')
    )
    assert both is not None
    assert (both.running, both.kv_usage, both.kv_blocks, both.block_tokens) == (6, 0.25, 1454, 128)


LLAMA_CPP = """\
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 400
# TYPE llamacpp:prompt_tokens_cached_total counter
llamacpp:prompt_tokens_cached_total 100
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 50
# TYPE llamacpp:n_decode_total counter
llamacpp:n_decode_total 77
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 3
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 2
"""


def test_a_llama_cpps_metrics_are_read() -> None:
    assert parse_load(LLAMA_CPP) == EngineLoad(
        running=3, waiting=2, tokens=450, steps=77, prefix_queries=500, prefix_hits=100
    )


def test_metrics_of_another_kind_of_server_say_nothing() -> None:
    assert parse_load("# TYPE tgi_queue_size gauge\ntgi_queue_size 1\n") is None


def test_a_page_that_is_no_metrics_says_nothing() -> None:
    assert parse_load("<html><body>not found</body></html>") is None

"""The engine: vLLM in an environment and a process of its own. Nothing of ours imports vllm or torch."""

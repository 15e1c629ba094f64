"""The engine: vLLM in an environment and a process of its own. Redraft itself never imports vllm or torch."""

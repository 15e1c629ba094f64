"""Finds out what an OpenAI-compatible server can, by asking it: a name or a version says little of what is obeyed.

A dozen short calls. It must not know what is done where an ability is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.errors import EngineFault
from tasks.llm.capabilities import SCHEMA_TOKENS, Capabilities, ChoiceForm, ThoughtForm, Tokenizer, choice_field, chosen
from tasks.llm.markers import opens_thoughts
from workers.engine.load import read_load
from workers.engine.probe import fetch
from workers.http_client import RequestFailed, request

CALL_TOKENS = 16
# Vendors' own fields first: a schema costs more tokens, and some servers take it and don't obey.
CHOICE_FORMS: tuple[ChoiceForm, ...] = ("structured_outputs", "grammar", "json_schema")
# A cold server loads its model at the first call.
CALL_SECONDS = 120.0
# More than the bytes of sixteen tokens: the stream of a server that ignores the token limit is cut here.
STREAM_BYTES = 65_536
# Words that no model uses to answer a greeting.
WORDS = ("amaranth", "obsidian")
GREETING = "Say hello."
# Its answers are so long that two samples hardly ever agree by chance.
DRAWN = "Write ten words that have nothing to do with each other."
# The engine's own repetition detection beside Redraft's guard, with the values of the packaged profiles.
REPETITION = {"repetition_detection": {"min_pattern_size": 16, "max_pattern_size": 64, "min_count": 8}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The server to query: `url` ends in /v1."""

    url: str
    model: str
    key: str = ""

    @property
    def root(self) -> str:
        """The address without /v1."""
        return self.url.removesuffix("/v1")


def detect_capabilities(endpoint: Endpoint) -> Capabilities:
    """Detects the capabilities. Raises `EngineFault` only where the server does not answer a plain chat."""
    _chat(endpoint, GREETING)
    return Capabilities(
        choices=_choices(endpoint),
        tokenizer=_tokenizer(endpoint),
        stream_usage=_stream_usage(endpoint),
        top_k=_accepts(endpoint, {"top_k": 40}),
        seeds=_seeds(endpoint),
        repetition=_repetition(endpoint),
        metrics=read_load(endpoint.root, key=endpoint.key) is not None,
        thoughts=_thoughts(endpoint),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a server reports about itself; 0 tokens or slots if it doesn't report them."""

    name: str = ""
    context_tokens: int = 0
    slots: int = 0


def describe_server(endpoint: Endpoint, entry: Any) -> Server:
    """Name and version, context and slots, from the pages of each kind of server; `entry` is the listed model."""
    props = _page(endpoint, "props")
    if isinstance(props, dict) and "default_generation_settings" in props:  # llama.cpp: of one slot, and how many
        context = _number(props["default_generation_settings"], "n_ctx")
        name = f"llama.cpp {props.get('build_info', '')}".strip()
        return Server(name=name, context_tokens=context, slots=_number(props, "total_slots"))
    running = _page(endpoint, "api/ps")
    if isinstance(running, dict) and isinstance(running.get("models"), list):  # Ollama: of the model as it is loaded
        loaded = [
            loaded_model
            for loaded_model in running["models"]
            if isinstance(loaded_model, dict) and loaded_model.get("name") == endpoint.model
        ]
        version = _page(endpoint, "api/version")
        name = f"ollama {version.get('version', '') if isinstance(version, dict) else ''}".strip()
        return Server(name=name, context_tokens=_number(loaded[0], "context_length") if loaded else 0)
    version = _page(endpoint, "version")
    vllm_name = f"vllm {version['version']}" if isinstance(version, dict) and "version" in version else ""
    return Server(name=vllm_name, context_tokens=_number(entry, "max_model_len"))


def _choices(endpoint: Endpoint) -> ChoiceForm:
    for form in CHOICE_FORMS:
        tokens = CALL_TOKENS + (SCHEMA_TOKENS if form == "json_schema" else 0)
        try:
            text = _chat(endpoint, GREETING, max_tokens=tokens, **choice_field(form, WORDS))
        except EngineFault:
            continue
        if chosen(text, WORDS) in WORDS:
            return form
    return "text"


def _tokenizer(endpoint: Endpoint) -> Tokenizer:
    messages = [{"role": "user", "content": GREETING}]
    response = _page(
        endpoint, "tokenize", {"model": endpoint.model, "messages": messages, "add_generation_prompt": True}
    )
    if _number(response, "count"):
        return "chat"
    rendered = _page(endpoint, "apply-template", {"messages": messages})
    if isinstance(rendered, dict) and isinstance(rendered.get("prompt"), str):
        response = _page(endpoint, "tokenize", {"content": rendered["prompt"]})
        if isinstance(response, dict) and isinstance(response.get("tokens"), list) and response["tokens"]:
            return "text"
    return "none"


def _seeds(endpoint: Endpoint) -> bool:
    sampling = {"temperature": 1.0, "max_tokens": 24, "seed": 11}
    try:
        first, second = (_chat(endpoint, DRAWN, **sampling) for _ in range(2))
    except EngineFault:
        return False
    return first == second != ""


def _accepts(endpoint: Endpoint, field: dict[str, Any]) -> bool:
    try:
        _chat(endpoint, GREETING, **field)
    except EngineFault:
        return False
    return True


def _repetition(endpoint: Endpoint) -> bool:
    """Whether the server accepts a valid value of the field and refuses an invalid one; one that does the same with
    both has no repetition detection."""
    bad = {"repetition_detection": {**REPETITION["repetition_detection"], "min_count": "no number"}}
    return _accepts(endpoint, REPETITION) and not _accepts(endpoint, bad)


def _thoughts(endpoint: Endpoint) -> ThoughtForm:
    """Whether the chat template opens the thoughts, where the server shows what it renders."""
    prompt = _rendered(endpoint)
    if not prompt:
        return "unknown"
    return "opened" if opens_thoughts(prompt) else "apart"


def _rendered(endpoint: Endpoint) -> str:
    """A prompt as the model gets it: llama.cpp shows its text, vLLM its tokens, whose spaces and line ends are those of
    GPT-2's byte pairs."""
    messages = [{"role": "user", "content": GREETING}]
    page = _page(endpoint, "apply-template", {"messages": messages})
    if isinstance(page, dict) and isinstance(page.get("prompt"), str):
        return str(page["prompt"])
    body = {"model": endpoint.model, "messages": messages, "add_generation_prompt": True, "return_token_strs": True}
    page = _page(endpoint, "tokenize", body)
    tokens = page.get("token_strs") if isinstance(page, dict) else None
    texts = [str(token) for token in tokens] if isinstance(tokens, list) else []
    return "".join(texts).replace("Ġ", " ").replace("Ċ", "\n")


def _stream_usage(endpoint: Endpoint) -> bool:
    """Whether a stream reports its usage on request."""
    body = {**_body(endpoint, GREETING), "stream": True, "stream_options": {"include_usage": True}}
    url = f"{endpoint.url}/chat/completions"
    try:
        text = request(url, key=endpoint.key or "none", body=body, seconds=CALL_SECONDS, most_bytes=STREAM_BYTES)
    except RequestFailed:
        return False
    return any('"completion_tokens"' in line for line in text.splitlines() if line.startswith("data:"))


def _chat(endpoint: Endpoint, prompt: str, **fields: Any) -> str:
    body = {**_body(endpoint, prompt), **fields}
    answer = fetch(f"{endpoint.url}/chat/completions", key=endpoint.key, body=body, seconds=CALL_SECONDS)
    try:
        return str(answer["choices"][0]["message"].get("content") or "")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise EngineFault(f"{endpoint.url}: this is no answer: {str(answer)[:200]}") from error


def _body(endpoint: Endpoint, prompt: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    return {"model": endpoint.model, "messages": messages, "temperature": 0, "max_tokens": CALL_TOKENS}


def _page(endpoint: Endpoint, name: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON of a page beside the API, None where there is no such page or it is no JSON."""
    try:
        return fetch(f"{endpoint.root}/{name}", key=endpoint.key, body=body, seconds=10)
    except EngineFault:
        return None


def _number(document: Any, name: str) -> int:
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, int) and value > 0 else 0

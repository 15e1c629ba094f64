"""A local stand-in of an OpenAI-compatible server that can exactly what it is told it can.

What it can't it answers as servers do: `strict` ones refuse a field that they don't know with 400, others ignore it;
a page that it lacks is 404. `said` holds what it tells of itself, page by page.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.llm.capabilities import Capabilities
from tests.standin import serve

WORDS = ("amber", "birch", "cobalt", "dune", "ember", "fjord", "grove", "harbor", "iris", "kelp", "lagoon", "maple")
PLAIN = {"model", "messages", "temperature", "top_p", "max_tokens", "seed", "stream"}

VLLM = {"/version": {"version": "0.32.0"}}
LLAMA_CPP = {"/props": {"default_generation_settings": {"n_ctx": 12288}, "total_slots": 2, "build_info": "b7000"}}
OLLAMA = {
    "/api/version": {"version": "0.12"},
    "/api/ps": {"models": [{"name": "tiny", "context_length": 16384}]},
}


@dataclass(kw_only=True)
class StandIn:
    """A running one. `answer` is said to every prompt where nothing is drawn; `bodies` are the chats it was asked,
    `counted` the tokens of each prompt that it was to count."""

    able: Capabilities
    strict: bool
    said: Mapping[str, Any]
    entry: Mapping[str, Any]
    answer: str = "Hello there, how can I help?"
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    counted: list[int] = field(default_factory=list)

    def known(self) -> set[str]:
        """The fields of a chat that it reads."""
        fields = {
            "structured_outputs": self.able.choices == "structured_outputs",
            "grammar": self.able.choices == "grammar",
            "response_format": self.able.choices in ("structured_outputs", "json_schema"),
            "stream_options": self.able.stream_usage,
            "top_k": self.able.top_k,
            "repetition_detection": self.able.repetition,
        }
        return PLAIN | {name for name, able in fields.items() if able}

    def refusal(self, body: Mapping[str, Any]) -> str:
        """Why a chat is refused, or nothing."""
        unknown = sorted(set(body) - self.known())
        if unknown and (self.strict or "top_k" in unknown):
            return f"Unrecognized request argument supplied: {', '.join(unknown)}"
        detection = body.get("repetition_detection", {}) if self.able.repetition else {}
        if not all(isinstance(value, int) for value in detection.values()):
            return "repetition_detection: Input should be a valid integer"
        return ""

    def say(self, body: Mapping[str, Any]) -> str:
        """The text of an answer."""
        known = self.known()
        if "structured_outputs" in known & set(body):
            return str(body["structured_outputs"]["choice"][0])
        if "grammar" in known & set(body):
            return str(json.loads(body["grammar"].removeprefix("root ::= ").split(" | ")[0]))
        if "response_format" in known & set(body):
            schema = body["response_format"]["json_schema"]["schema"]
            return json.dumps({"answer": schema["properties"]["answer"]["enum"][0]})
        thoughts = "hm\n</think>\n\n" if self.able.thoughts == "opened" else ""
        if body.get("temperature"):
            draw = random.Random(body.get("seed") if self.able.seeds else None)
            return thoughts + " ".join(draw.choices(WORDS, k=10))
        return thoughts + self.answer

    def page(self, path: str, body: Mapping[str, Any]) -> Any:
        """What a page beside the API answers, None where there is none."""
        match path, self.able.tokenizer:
            case "/tokenize", "chat":
                prompt = self._render(body["messages"])
                self.counted.append(_tokens(prompt))
                return {"count": self.counted[-1], "token_strs": [word + "Ġ" for word in prompt.split()]}
            case "/tokenize", "text":
                return {"tokens": [1] * _tokens(body["content"])}
            case "/apply-template", "text":
                return {"prompt": self._render(body["messages"])}
        return self.said.get(path)

    def _render(self, messages: list[dict[str, str]]) -> str:
        opened = " <think>" if self.able.thoughts == "opened" else ""
        return " ".join(f"<{message['role']}> {message['content']}" for message in messages) + opened


def _tokens(text: str) -> int:
    return len(text.split())


@contextlib.contextmanager
def serving(
    able: Capabilities,
    *,
    strict: bool = False,
    said: Mapping[str, Any] = VLLM,
    entry: Mapping[str, Any] = {"max_model_len": 4096},
) -> Iterator[StandIn]:
    """Serves one on loopback. `entry` is what its list of models tells of the only one, `tiny`."""
    standin = StandIn(able=able, strict=strict, said=said, entry=entry)

    class Handler(serve.Handler):
        def do_GET(self) -> None:
            if self.path == "/v1/models":
                self.send({"data": [{"id": "tiny", **standin.entry}]})
            elif self.path == "/metrics" and standin.able.metrics:
                self.send(b'vllm:generation_tokens_total{m="x"} 1.0\n')
            else:
                self._beside({})

        def do_POST(self) -> None:
            body = self.asked()
            if self.path != "/v1/chat/completions":
                self._beside(body)
                return
            standin.bodies.append(body)
            if why := standin.refusal(body):
                self.send({"error": {"message": why}}, 400)
            elif body.get("stream"):
                self._stream(body)
            else:
                self.say(standin.say(body))

        def _beside(self, body: Mapping[str, Any]) -> None:
            found = standin.page(self.path, body)
            self.send({"error": "no such page"} if found is None else found, 404 if found is None else 200)

        def _stream(self, body: Mapping[str, Any]) -> None:
            usage = standin.able.stream_usage and body.get("stream_options", {}).get("include_usage")
            self.begin()
            with contextlib.suppress(OSError):  # whoever asked has gone
                self.word(standin.say(body))
                self.word(finish="stop")
                self.end(11 if usage else None, 7)

    with serve.serving(Handler) as root:
        standin.url = f"{root}/v1"
        yield standin

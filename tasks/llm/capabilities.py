"""What an OpenAI-compatible server can beyond plain chat, and what is done where it can't.

Pure: it must not know how a server is asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

# How an answer is held to one of a few words: vLLM's own field, OpenAI's JSON schema, or by asking and looking.
ChoiceForm = Literal["structured_outputs", "json_schema", "text"]
# vLLM counts a chat; llama.cpp renders it first and counts the text.
Tokenizer = Literal["chat", "text", "none"]


_CHOICES: Mapping[ChoiceForm, str] = {
    "structured_outputs": "",
    "json_schema": "no structured_outputs: verdicts are asked for as JSON by a schema",
    "text": "no structured answers: verdicts are read out of free text, and asked for again where none is clear",
}
_TOKENIZER: Mapping[Tokenizer, str] = {
    "chat": "",
    "text": "no counting of chats: each prompt is rendered by the server first, then counted",
    "none": "no tokenizer: prompts are counted as a third of their characters, so windows are shorter",
}
_FLAGS = {
    "stream_usage": "no usage in streams: tokens are counted as they come, and none count as cached",
    "top_k": "no top_k: answers are drawn by temperature and top_p alone",
    "seeds": "seeds without effect: a run can't be repeated word by word",
    "repetition": "no repetition detection: Redraft's guard alone ends loops",
    "metrics": "no metrics: admission goes by the number of slots",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """The defaults are those of a vLLM of ours."""

    choices: ChoiceForm = "structured_outputs"
    tokenizer: Tokenizer = "chat"
    stream_usage: bool = True
    top_k: bool = True
    seeds: bool = True
    repetition: bool = True
    metrics: bool = True

    def missing(self) -> tuple[str, ...]:
        """What it can't, each with what is done instead."""
        flags = (said for name, said in _FLAGS.items() if not getattr(self, name))
        return tuple(said for said in (_CHOICES[self.choices], _TOKENIZER[self.tokenizer], *flags) if said)


def choice_field(form: ChoiceForm, choices: Sequence[str]) -> dict[str, Any]:
    """What a request's body says so that the answer is one of `choices`."""
    match form:
        case "structured_outputs":
            return {"structured_outputs": {"choice": list(choices)}}
        case "json_schema":
            schema = {
                "type": "object",
                "properties": {"answer": {"type": "string", "enum": list(choices)}},
                "required": ["answer"],
                "additionalProperties": False,
            }
            return {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "choice", "strict": True, "schema": schema},
                }
            }
        case "text":
            return {}
        case _:
            assert_never(form)


def chosen(text: str, choices: Sequence[str]) -> str:
    """The one of `choices` that an answer is: alone, as a field `answer` of JSON, as the first word, or after a colon
    at a line's end. The text itself where that is none, or where another is named too: "it does not pass" is no choice.
    """
    said = _answer_of(text)
    found = [choice for choice in choices if _stands(choice, said)]
    named = [choice for choice in choices if re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", said, re.IGNORECASE)]
    return found[0] if len(found) == len(named) == 1 else text


def _stands(choice: str, said: str) -> bool:
    word = re.escape(choice)
    return re.search(rf"\A\W*{word}(?!\w)|:\W*{word}\W*$", said, re.IGNORECASE | re.MULTILINE) is not None


def _answer_of(text: str) -> str:
    try:
        told = json.loads(text)
    except ValueError:
        return text.strip()
    return str(told["answer"]) if isinstance(told, Mapping) and "answer" in told else text.strip()

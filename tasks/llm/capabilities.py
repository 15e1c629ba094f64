"""What an OpenAI-compatible server supports beyond plain chat, and what is done instead where it doesn't.

Pure: it must not know how a server is queried.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

# How an answer is restricted to one of a few words: vLLM's own field, llama.cpp's grammar, OpenAI's JSON schema, or a
# search in free text.
ChoiceForm = Literal["structured_outputs", "grammar", "json_schema", "text"]
# vLLM counts a chat; llama.cpp renders it first and counts the text.
Tokenizer = Literal["chat", "text", "none"]
# Where a server's thoughts are: apart or marked; in the text from its beginning, since the prompt opens them; nowhere,
# and the answer in their field instead; or nothing is known.
ThoughtForm = Literal["apart", "opened", "swapped", "unknown"]
# A schema lets a model write spaces and line ends: with 16 tokens SmolLM2 came to `{\n "answer"\n\n:\n\n"amar`.
SCHEMA_TOKENS = 64


_CHOICES: Mapping[ChoiceForm, str] = {
    "structured_outputs": "",
    "grammar": "",
    "json_schema": "no structured_outputs: verdicts are requested as JSON by a schema",
    "text": "no structured answers: verdicts are read out of free text, and requested again where none is clear",
}
_TOKENIZER: Mapping[Tokenizer, str] = {
    "chat": "",
    "text": "no counting of chats: each prompt is rendered by the server first, then counted",
    "none": "no tokenizer: prompts are counted as a third of their characters, so windows are shorter",
}
_THOUGHTS: Mapping[ThoughtForm, str] = {
    "apart": "",
    "opened": "",
    "swapped": "it answers in the reasoning field only, and is read there: start it with its model's reasoning parser, "
    "or without one",
    "unknown": "",
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
    """What a server supports. The defaults describe a vLLM that Redraft started."""

    choices: ChoiceForm = "structured_outputs"
    tokenizer: Tokenizer = "chat"
    stream_usage: bool = True
    top_k: bool = True
    seeds: bool = True
    repetition: bool = True
    metrics: bool = True
    thoughts: ThoughtForm = "apart"

    @property
    def warning(self) -> str:
        """What its operator should mend although jobs go on, in one sentence; empty where there is nothing."""
        return _THOUGHTS[self.thoughts]

    def missing(self) -> tuple[str, ...]:
        """One sentence for each unsupported feature, with what is done instead."""
        flags = (text for name, text in _FLAGS.items() if not getattr(self, name))
        return tuple(
            text for text in (self.warning, _CHOICES[self.choices], _TOKENIZER[self.tokenizer], *flags) if text
        )


def choice_field(form: ChoiceForm, choices: Sequence[str]) -> dict[str, Any]:
    """The fields of a request's body that restrict the answer to one of `choices`."""
    match form:
        case "structured_outputs":
            return {"structured_outputs": {"choice": list(choices)}}
        case "grammar":  # https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
            return {"grammar": "root ::= " + " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices)}
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
    """The one of `choices` that an answer names: alone, in the field `answer` of a JSON object, as the first word, or
    after a colon at the end of a line. Returns the text unchanged where it names none, or more than one: "it does not
    pass" is no choice.
    """
    answer = _answer_of(text)
    matches = [choice for choice in choices if _states(choice, answer)]
    mentioned = [choice for choice in choices if re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", answer, re.IGNORECASE)]
    return matches[0] if len(matches) == len(mentioned) == 1 else text


def _states(choice: str, answer: str) -> bool:
    word = re.escape(choice)
    return re.search(rf"\A\W*{word}(?!\w)|:\W*{word}\W*$", answer, re.IGNORECASE | re.MULTILINE) is not None


def _answer_of(text: str) -> str:
    try:
        document = json.loads(text)
    except ValueError:
        return text.strip()
    return str(document["answer"]) if isinstance(document, Mapping) and "answer" in document else text.strip()

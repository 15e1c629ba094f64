"""How the families of models mark their thoughts within an answer: a table, with its sources. Pure; it must not know
how an answer arrives.

A server with a reasoning parser for its model removes these marks; one without it, or with another model's, leaves
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import regex

# What ends gpt-oss's thoughts, and the heads of the messages that it writes in one answer.
_HARMONY = r"(?:<\|start\|>assistant)?<\|channel\|>"
_MESSAGE = r"(?:[^<]|<\|constrain\|>){0,80}<\|message\|>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """A pair of marks as regular expressions. A `special` one is a token of its own, so it marks thoughts wherever it
    stands; others open thoughts only where a line begins. A `lone` closing mark also ends thoughts that the chat
    template opened in the prompt, so that the answer holds no opening mark."""

    opening: str
    closing: str
    special: bool = False
    lone: bool = True


MARKERS = (
    # Qwen 3, DeepSeek R1, GLM 4.5, SmolLM 3, Phi 4, Hunyuan: https://docs.vllm.ai/en/latest/features/reasoning_outputs
    Marker(opening=r"<think>", closing=r"</think>"),
    # EXAONE Deep, Gemini by its OpenAI address: https://ai.google.dev/gemini-api/docs/openai#thinking
    Marker(opening=r"<thought>", closing=r"</thought>"),
    # Seed-OSS: vllm/reasoning/seedoss_reasoning_parser.py
    Marker(opening=r"<seed:think>", closing=r"</seed:think>", special=True),
    # LongCat: sglang/srt/parser/reasoning_parser.py
    Marker(opening=r"<longcat_think>", closing=r"</longcat_think>", special=True),
    # Magistral: vllm/reasoning/mistral_reasoning_parser.py
    Marker(opening=r"\[THINK\]", closing=r"\[/THINK\]", special=True),
    # Kimi: https://huggingface.co/moonshotai/Kimi-VL-A3B-Thinking
    Marker(opening="◁think▷", closing="◁/think▷", special=True),
    # Gemma 4: https://ai.google.dev/gemma/docs/core/prompt-formatting-gemma4, leaked in vllm#38855
    Marker(opening=r"<\|channel>thought", closing=r"<channel\|>", special=True),
    # MedGemma: https://huggingface.co/google/medgemma-27b-text-it
    Marker(opening=r"<unused94>thought", closing=r"<unused95>", special=True),
    # Command A Reasoning: vllm/reasoning/cohere_command_reasoning_parser.py
    Marker(opening=r"<\|START_THINKING\|>", closing=r"<\|END_THINKING\|>", special=True),
    # OpenThinker, Sky-T1: https://huggingface.co/open-thoughts/OpenThinker-7B
    Marker(opening=r"<\|begin_of_thought\|>", closing=r"<\|end_of_thought\|>", special=True),
    # Apertus: https://huggingface.co/swiss-ai/Apertus-8B-Instruct-2509
    Marker(opening=r"<\|inner_prefix\|>", closing=r"<\|inner_suffix\|>", special=True),
    # gpt-oss: https://developers.openai.com/cookbook/articles/openai-harmony
    Marker(
        opening=rf"{_HARMONY}(?:analysis|commentary){_MESSAGE}",
        closing=r"<\|end\|>|(?=<\|start\|>)",
        special=True,
        lone=False,
    ),
    # gpt-oss where the server drops special tokens: oobabooga/textgen#7374
    Marker(opening=r"analysis(?=[A-Z])", closing=r"assistantfinal", lone=False),
    # Granite 3.2: vllm/reasoning/granite_reasoning_parser.py
    Marker(
        opening=r"Here(?:'s| is) my thought process:",
        closing=r"Here(?:'s| is) my response:",
        lone=False,
    ),
)
# What introduces the answer itself, and the tokens that end it.
HEADS = regex.compile(rf"{_HARMONY}final{_MESSAGE}|<\|START_RESPONSE\|>|<\|begin_of_solution\|>")
ENDS = regex.compile(
    r"(?:<\|return\|>|<\|end\|>|<\|END_RESPONSE\|>|<\|end_of_solution\|>|<\|im_end\|>|<turn\|>|<end_of_turn>|\s)+\Z"
)
# One group a marker: `lastgroup` names which one it was.
OPENINGS = regex.compile("|".join(f"(?P<m{at}>{marker.opening})" for at, marker in enumerate(MARKERS)))
SPECIAL_OPENINGS = "|".join(f"(?P<m{at}>{marker.opening})" for at, marker in enumerate(MARKERS) if marker.special)
LINE_OPENINGS = "|".join(
    rf"(?<=\n)(?P<m{at}>{marker.opening})" for at, marker in enumerate(MARKERS) if not marker.special and marker.lone
)
LONE_CLOSINGS = "|".join(marker.closing for marker in MARKERS if marker.lone)
CLOSINGS = tuple(regex.compile(marker.closing) for marker in MARKERS)
ANY_CLOSING = regex.compile(LONE_CLOSINGS)
# What a prompt ends with whose template opens the thoughts.
_OPENED = regex.compile(rf"(?:{'|'.join(marker.opening for marker in MARKERS if marker.lone)})\s*\Z")
# What may change the meaning of a text in its middle.
TURNS = regex.compile(rf"{SPECIAL_OPENINGS}|{LINE_OPENINGS}|(?P<head>{HEADS.pattern})|(?P<closing>{LONE_CLOSINGS})")


def opens_thoughts(prompt: str) -> bool:
    """Whether a rendered prompt ends with an opening mark."""
    return _OPENED.search(prompt[-200:]) is not None

"""What went wrong with a request, as one line that blames the engine. It must not know how a request is made."""

from __future__ import annotations

import re

from tasks.errors import ContextExceeded, EngineFault
from tasks.llm.responsebody import error_message

# How vLLM, llama.cpp and OpenAI report a prompt that is longer than the context.
TOO_LONG = re.compile(r"context[ _](?:length|size|window)|maximum (?:model|context|input) length", re.IGNORECASE)
MESSAGE_CHARS = 300


def engine_fault(model: str, error: Exception, api_key: str) -> EngineFault:
    """The fault as one line that never holds the key; `ContextExceeded` where the server says so."""
    import openai

    match error:
        case EngineFault():
            reason = str(error)
        case openai.APIStatusError():
            reason = f"answered {error.status_code}: {error_message(error.body) or error.message}"
        case openai.APIError():
            reason = f"cannot be reached ({error.message})"
        case _:
            reason = f"broke off ({type(error).__name__}: {error})"
    line = " ".join(f"{model} {reason}".split())
    refused = isinstance(error, openai.BadRequestError) and TOO_LONG.search(line)
    kind = ContextExceeded if refused else type(error) if isinstance(error, EngineFault) else EngineFault
    return kind((line.replace(api_key, "***") if api_key else line)[:MESSAGE_CHARS])

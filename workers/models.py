"""The client and the sampling of a host's model, as the host's profile has them."""

from __future__ import annotations

from tasks.llm.chat import OpenAIChatModel
from tasks.llm.requestbody import Files
from tasks.llm.thoughts import Thinking
from tasks.sampling import Sampling
from tasks.settings import Settings
from workers.engine.host import ModelHost
from workers.engine.profiles import Serving


def chat_model(settings: Settings, host: ModelHost, files: Files | None = None) -> OpenAIChatModel:
    """The client of a host that has started; `files` reads an attachment, None where there are none."""
    profile = host.profile
    return OpenAIChatModel(
        base_url=host.url,
        model=host.model,
        api_key=settings.endpoint_key.get_secret_value() or "none",
        context_tokens=profile.max_model_len,
        first_token_seconds=settings.first_token_seconds,
        token_silence_seconds=settings.token_silence_seconds,
        extra=profile.request_extra,
        engine=host.describe(),
        files=files,
        capabilities=host.capabilities,
        thinking=profile.thinking.fields if profile.thinking else Thinking(),
    )


def sampling_of(profile: Serving) -> Sampling:
    """How the profile samples its model."""
    return Sampling(
        temperature=profile.temperature,
        top_p=profile.top_p,
        top_k=profile.top_k,
        answer_tokens=profile.max_answer_tokens,
        review_tokens=profile.max_review_tokens,
        thinking_tokens=profile.thinking.tokens if profile.thinking else 0,
        first_temperature=profile.first_temperature,
    )

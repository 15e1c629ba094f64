"""The stronger models that are configured: settings → who gives which kind of help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from urllib.parse import urlsplit

from tasks.advisers import Adviser, Offer
from tasks.errors import InvalidInput
from tasks.llm.completions import ChatCompletions
from tasks.llm.prices import Prices, prices_of
from tasks.llm.responsebody import CloudTerms, chat_json
from tasks.llm.responses import LOOPBACK, OpenAIResponses, provider_of
from tasks.settings import Settings
from tasks.types import EscalationKind

FREE = Prices(prompt=Decimal(0), cached=Decimal(0), completion=Decimal(0))


def build_advisers(settings: Settings) -> Mapping[EscalationKind, Adviser]:
    """For each kind of help who gives it: the endpoint that is named for it, else the cloud. Raises `InvalidInput` for
    a model whose prices nobody knows, and for an endpoint without a model."""
    advisers: dict[EscalationKind, Adviser] = {}
    if settings.openai_api_key.get_secret_value():
        advisers = {kind: _cloud(settings, kind) for kind in EscalationKind}
    if settings.adviser_url:
        advisers |= {kind: _endpoint(settings, kind) for kind in _given(settings)}
    return advisers


def providers_of(settings: Settings) -> Mapping[EscalationKind, str]:
    """Who would give each kind of help, by host and port: known without a key, which only workers of the cloud have."""
    provided = dict.fromkeys(EscalationKind, provider_of(settings.openai_base_url))
    if settings.adviser_url:
        provided |= dict.fromkeys(_given(settings), provider_of(settings.adviser_url))
    return provided


def _given(settings: Settings) -> Sequence[EscalationKind]:
    """The kinds of help for which the endpoint is named."""
    return [kind for kind in EscalationKind if ("hint" if kind.is_hint else "answer") in settings.adviser_gives]


def _cloud(settings: Settings, kind: EscalationKind) -> Adviser:
    models = (settings.cloud_model, *settings.cloud_fallbacks)
    return Adviser(
        api=OpenAIResponses(
            base_url=settings.openai_base_url,
            api_key=settings.openai_api_key.get_secret_value(),
            first_event_seconds=settings.cloud_first_event_seconds,
            answer_seconds=settings.cloud_answer_seconds,
        ),
        offers=[
            Offer(
                terms=_terms(settings, kind, model),
                prices=prices_of(
                    model, None if number else settings.cloud_prices, settings.prices, settings.cloud_tier
                ),
            )
            for number, model in enumerate(models)
        ],
        engine="openai responses",
    )


def _endpoint(settings: Settings, kind: EscalationKind) -> Adviser:
    address = urlsplit(settings.adviser_url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise InvalidInput("setting adviser_url", settings.adviser_url, "an address such as http://127.0.0.1:8000/v1")
    if not settings.adviser_model:
        raise InvalidInput("setting adviser_model", "", "the name of the model that the adviser's endpoint serves")
    return Adviser(
        api=ChatCompletions(
            base_url=settings.adviser_url,
            api_key=settings.adviser_key.get_secret_value() or "none",
            first_event_seconds=settings.first_token_seconds,
            answer_seconds=settings.cloud_answer_seconds,
        ),
        offers=[
            Offer(terms=_terms(settings, kind, settings.adviser_model), prices=_prices(settings, address.hostname))
        ],
        engine=f"chat at {address.netloc.rpartition('@')[2]}",
        write=chat_json,
    )


def _prices(settings: Settings, host: str) -> Prices:
    if settings.adviser_prices is None and (settings.adviser_local or host in LOOPBACK):
        return FREE
    try:
        return prices_of(settings.adviser_model, settings.adviser_prices, settings.prices)
    except InvalidInput:
        allowed = "a model of known prices; give its own with REDRAFT_ADVISER_PRICES, or say REDRAFT_ADVISER_LOCAL=true"
        raise InvalidInput("setting adviser_model", settings.adviser_model, allowed) from None


def _terms(settings: Settings, kind: EscalationKind, model: str) -> CloudTerms:
    return CloudTerms(
        model=model,
        effort=settings.hint_effort if kind.is_hint else settings.cloud_effort,
        output_tokens=settings.hint_output_tokens if kind.is_hint else settings.cloud_output_tokens,
        store=settings.cloud_store,
        tier=settings.cloud_tier,
        cache=settings.cloud_cache,
    )

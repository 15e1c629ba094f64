"""Who gives which kind of help: from the settings, to the request that is made."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tasks.errors import InvalidInput
from tasks.llm.completions import ChatCompletions
from tasks.llm.responses import OpenAIResponses
from tasks.settings import Settings
from tasks.types import EscalationKind, Usage
from tests.turns import job_of
from workers.advisers import build_advisers, providers_of

HINTS = [EscalationKind.HINT, EscalationKind.HINT_ON_BEST]
LOCAL = {"adviser_url": "http://127.0.0.1:8001/v1", "adviser_model": "large"}
CLOUD = {"openai_api_key": "sk-test"}
USAGE = Usage(prompt_tokens=1_000_000, cached_tokens=0, completion_tokens=0)


def advisers(**settings: Any) -> Any:
    return build_advisers(Settings(**settings))


def test_without_a_key_and_an_endpoint_nobody_gives_help() -> None:
    assert advisers() == {}


def test_the_cloud_gives_every_kind_and_a_hint_on_terms_of_its_own() -> None:
    made = advisers(**CLOUD, cloud_effort="xhigh", hint_effort="low", hint_output_tokens=2048, cloud_tier="flex")
    assert set(made) == set(EscalationKind)
    assert all(isinstance(adviser.api, OpenAIResponses) for adviser in made.values())
    terms = {kind: adviser.offers[0].terms for kind, adviser in made.items()}
    assert [(terms[kind].effort, terms[kind].output_tokens) for kind in HINTS] == [("low", 2048)] * 2
    assert (terms[EscalationKind.ANSWER].effort, terms[EscalationKind.ANSWER].tier) == ("xhigh", "flex")


def test_its_models_follow_each_other_each_at_its_own_price() -> None:
    made = advisers(**CLOUD, cloud_model="gpt-5.4", cloud_fallbacks="gpt-5.4-mini, gpt-5.4-nano")
    answer = made[EscalationKind.ANSWER]
    assert [one.terms.model for one in answer.offers] == ["gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano"]
    assert [answer.cost(one.terms.model, USAGE) for one in answer.offers] == [
        Decimal(5),
        Decimal("1.5"),
        Decimal("0.4"),
    ]
    first = answer.plan(job_of(), EscalationKind.ANSWER)
    second = answer.next_plan(first)
    third = answer.next_plan(second)
    assert [plan.model for plan in (first, second, third)] == [one.terms.model for one in answer.offers]
    assert first.usd > second.usd > third.usd
    assert json.loads(second.request) == {**json.loads(first.request), "model": "gpt-5.4-mini"}
    assert answer.next_plan(third) is None


def test_the_key_of_the_cache_groups_what_the_setting_says() -> None:
    def key(cache: str, **job: Any) -> object:
        adviser = advisers(**CLOUD, cloud_cache=cache)[EscalationKind.HINT]
        return json.loads(adviser.plan(job_of(**job), EscalationKind.HINT).request).get("prompt_cache_key")

    assert key("job", title="a") != key("job", title="b")
    assert key("owner", title="a") == key("owner", title="b") not in (None, "")
    assert key("none") is None


def test_an_endpoint_gives_what_it_is_named_for_and_the_cloud_the_rest() -> None:
    made = advisers(**CLOUD, **LOCAL, adviser_gives="hint")
    assert all(isinstance(made[kind].api, ChatCompletions) for kind in HINTS)
    assert not isinstance(made[EscalationKind.ANSWER].api, ChatCompletions)
    assert set(advisers(**LOCAL, adviser_gives="hint")) == set(HINTS)
    assert set(advisers(**LOCAL)) == set(EscalationKind)


def test_an_endpoint_is_asked_in_a_chat_with_the_job_s_own_words() -> None:
    adviser = advisers(**LOCAL)[EscalationKind.HINT]
    plan = adviser.plan(job_of(problem="Mind the gap."), EscalationKind.HINT)
    body = json.loads(plan.request)
    assert (body["model"], body["max_tokens"]) == ("large", 8192)
    assert "Mind the gap." in body["messages"][1]["content"]
    assert adviser.engine == "chat at 127.0.0.1:8001"
    assert plan.usd == 0
    assert plan.completion_tokens == 8192


@pytest.mark.parametrize(
    ("more", "usd"),
    [
        ({}, 0),
        ({"adviser_prices": (Decimal(3), Decimal(0), Decimal(9))}, 3),
        ({"adviser_url": "https://models.example/v1", "adviser_local": True}, 0),
        ({"adviser_url": "https://models.example/v1", "prices": {"large": (Decimal(7), Decimal(0), Decimal(9))}}, 14),
    ],
)
def test_what_an_endpoint_costs(more: dict[str, Any], usd: int) -> None:
    adviser = advisers(**{**LOCAL, **more})[EscalationKind.ANSWER]
    assert adviser.cost("large", USAGE) in (usd, 2 * usd)  # a prompt so long costs twice


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({**CLOUD, "cloud_model": "gpt-9"}, "setting cloud_model: 'gpt-9'"),
        ({**CLOUD, "cloud_fallbacks": ("gpt-9",)}, "'gpt-9'"),
        ({**LOCAL, "adviser_model": ""}, "setting adviser_model"),
        ({**LOCAL, "adviser_url": "models.example"}, "setting adviser_url"),
        ({**LOCAL, "adviser_url": "https://models.example/v1"}, "REDRAFT_ADVISER_PRICES"),
    ],
)
def test_bad_settings_are_one_line(settings: dict[str, Any], refused: str) -> None:
    with pytest.raises(InvalidInput, match=refused):
        advisers(**settings)


def test_the_endpoint_s_key_is_a_secret() -> None:
    assert "sk-of-it" in Settings(**LOCAL, adviser_key="sk-of-it").secrets()


def test_flex_is_reserved_and_charged_at_its_own_price() -> None:
    standard, flex = (advisers(**CLOUD, cloud_tier=tier)[EscalationKind.ANSWER] for tier in ("default", "flex"))
    job = job_of(problem="How many posts?")
    assert flex.plan(job, EscalationKind.ANSWER).usd * 2 == standard.plan(job, EscalationKind.ANSWER).usd
    assert flex.cost("gpt-5.4", USAGE) * 2 == standard.cost("gpt-5.4", USAGE)


def test_who_would_help_is_known_without_a_key() -> None:
    own = Settings(
        openai_base_url="https://cloud.example/v1", adviser_url="http://127.0.0.1:8001/v1", adviser_gives="hint"
    )
    hints = {EscalationKind.HINT: "127.0.0.1:8001", EscalationKind.HINT_ON_BEST: "127.0.0.1:8001"}
    assert providers_of(own) == {**hints, EscalationKind.ANSWER: "cloud.example"}
    assert set(providers_of(Settings()).values()) == {"api.openai.com"}

"""Which model an escalation asks, and what it does where one is retired."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tasks.advisers import Adviser, Offer
from tasks.escalation import Escalation
from tasks.llm.prices import Prices
from tasks.types import (
    CloudAnswer,
    CloudEnd,
    Egress,
    EscalationKind,
    EscalationState,
)
from tests.advisers import ENGINE
from tests.escalations import NUMBER, TERMS, USAGE, Cloud, Ledger, escalation, turn


def ladder(cloud: Cloud, *models: str) -> Adviser:
    """An adviser with these models, each half the price of the one before."""
    prices = [Prices(prompt=Decimal(8) / 2**n, cached=Decimal(0), completion=Decimal(8) / 2**n) for n in range(9)]
    offers = [
        Offer(terms=replace(TERMS, model=model), prices=price) for model, price in zip(models, prices, strict=False)
    ]
    return Adviser(api=cloud, offers=offers, engine=ENGINE)


class Retiring(Cloud):
    """Has only some models."""

    def __init__(self, *left: str) -> None:
        super().__init__()
        self.left = left

    def start(self, request: str, *arguments: Any) -> CloudAnswer:
        if json.loads(request)["model"] not in self.left:
            self.sent.append((request, EscalationKind.ANSWER, Egress.FULL))
            return CloudAnswer(end=CloudEnd.RETIRED, error="HTTP 404: no such model")
        return super().start(request, *arguments)


def asking(ledger: Ledger, cloud: Cloud, *models: str) -> Escalation:
    return replace(escalation(ledger, cloud), advisers={EscalationKind.ANSWER: ladder(cloud, *models)})


def test_a_model_that_is_retired_is_followed_by_the_next_with_the_same_words_and_its_own_price() -> None:
    ledger, cloud = Ledger(), Retiring("c")
    completion = asking(ledger, cloud, "a", "b", "c").answer(turn(), NUMBER)
    assert completion is not None
    again = ["fall through", "intend again"]
    assert ledger.writes == ["intend", *again, *again, "identify", "settle"]
    bodies = [json.loads(request) for request, *_ in cloud.sent]
    assert [body.pop("model") for body in bodies] == ["a", "b", "c"]
    assert bodies[0] == bodies[1] == bodies[2]
    assert ledger.charged is not None
    assert ledger.charged.usd == ladder(cloud, "a", "b", "c").cost("c", USAGE)


def test_where_every_model_is_retired_nothing_is_charged() -> None:
    ledger, cloud = Ledger(), Retiring()
    assert asking(ledger, cloud, "a", "b").answer(turn(), NUMBER) is None
    assert ledger.settled == (EscalationState.FAILED, "HTTP 404: no such model")
    assert ledger.charged is not None
    assert (ledger.charged.usd, ledger.charged.prompt_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("served", "asked"), [(None, "a"), (frozenset({"b", "c"}), "b"), (frozenset({"x"}), "a"), (frozenset({"a"}), "a")]
)
def test_the_first_model_that_the_provider_lists_is_asked(served: frozenset[str] | None, asked: str) -> None:
    ledger, cloud = Ledger(), Cloud()
    cloud.served = served
    asking(ledger, cloud, "a", "b", "c").answer(turn(), NUMBER)
    assert ledger.record is not None
    assert ledger.record.plan.model == json.loads(cloud.sent[0][0])["model"] == asked


def test_where_there_is_no_choice_of_models_the_provider_is_not_asked_for_its_list() -> None:
    cloud = Cloud()
    escalation(Ledger(), cloud).answer(turn(), NUMBER)
    assert cloud.asked_for_models == 0


def test_a_kind_of_help_that_nobody_gives_is_not_asked_for() -> None:
    ledger, cloud = Ledger(), Cloud()
    assert asking(ledger, cloud, "a").answer(turn(), NUMBER, EscalationKind.HINT) is None
    assert (ledger.writes, cloud.sent, cloud.asked_for_models) == ([], [], 0)

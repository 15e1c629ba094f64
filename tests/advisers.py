"""Who gives help in tests: one API for every kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tasks.advisers import Adviser, Offer
from tasks.llm.prices import Prices
from tasks.llm.responsebody import CloudTerms
from tasks.ports import CloudModel
from tasks.types import EscalationKind

ENGINE = "openai responses"


def one_api(
    api: CloudModel, terms: CloudTerms, hint_terms: CloudTerms, prices: Prices, fallbacks: Sequence[str] = ()
) -> Mapping[EscalationKind, Adviser]:
    """The same models for each kind, a hint on terms of its own."""

    def offers(kind: EscalationKind) -> Sequence[Offer]:
        first = hint_terms if kind.is_hint else terms
        return [
            Offer(terms=dataclasses.replace(first, model=model), prices=prices) for model in (first.model, *fallbacks)
        ]

    return {kind: Adviser(api=api, offers=offers(kind), engine=ENGINE) for kind in EscalationKind}

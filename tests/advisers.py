"""Who gives help in tests: one API for every kind."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.advisers import Adviser, Offer
from tasks.llm.prices import Prices
from tasks.llm.responsebody import CloudTerms
from tasks.ports import CloudModel
from tasks.types import EscalationKind

ENGINE = "openai responses"


def one_api(
    api: CloudModel, terms: CloudTerms, hint_terms: CloudTerms, prices: Prices
) -> Mapping[EscalationKind, Adviser]:
    """The same model for each kind, a hint on terms of its own."""
    return {
        kind: Adviser(
            api=api, offers=[Offer(terms=hint_terms if kind.is_hint else terms, prices=prices)], engine=ENGINE
        )
        for kind in EscalationKind
    }

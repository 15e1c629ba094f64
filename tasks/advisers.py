"""Who is asked for which kind of help, in which words and at which prices. It must not know what is kept of a request,
nor when help is asked for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tasks.llm.prices import Prices, most_tokens
from tasks.llm.responsebody import CloudTerms, request_json
from tasks.ports import CloudModel
from tasks.prompts import help as help_prompts
from tasks.types import CloudPlan, EscalationKind, Job, Usage

# Makes a request's JSON of the terms, the instructions, the prompt and the key of the provider's cache.
Write = Callable[[CloudTerms, str, str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One model of an adviser: what it is asked on, and what it costs."""

    terms: CloudTerms
    prices: Prices


@dataclass(frozen=True, slots=True, kw_only=True)
class Adviser:
    """A stronger model behind an `api`. Of its `offers`, one at least, the first is asked, and the next one where the
    provider has that model no more. `engine` names the API in the journal."""

    api: CloudModel
    offers: Sequence[Offer]
    engine: str
    write: Write = lambda terms, instructions, prompt, key: request_json(
        terms, instructions=instructions, prompt=prompt, cache_key=key
    )

    def plan(self, job: Job, kind: EscalationKind, served: frozenset[str] | None = None) -> CloudPlan:
        """The request for this kind of help at its costliest outcome, to the first model that is `served`; to the first
        of all where none is, or nobody knows."""
        offer = next((one for one in self.offers if served is not None and one.terms.model in served), self.offers[0])
        prompt = help_prompts.ask(job, kind)
        system, user = prompt.messages
        key = _cache_key(job, offer.terms.cache)
        most = Usage(
            prompt_tokens=most_tokens(system.content + user.content),
            cached_tokens=0,
            completion_tokens=offer.terms.output_tokens,
        )
        return CloudPlan(
            kind=kind,
            model=offer.terms.model,
            request=self.write(offer.terms, system.content, user.content, key),
            usd=offer.prices.cost(most),
            prompt_tokens=most.prompt_tokens,
            completion_tokens=most.completion_tokens,
            omissions=prompt.omissions,
            provider=self.api.provider,
        )

    def next_plan(self, plan: CloudPlan) -> CloudPlan | None:
        """The same request to the next model, word for word; None where there is none."""
        models = [offer.terms.model for offer in self.offers]
        number = models.index(plan.model) + 1 if plan.model in models else len(models)
        if number == len(models):
            return None
        offer = self.offers[number]
        body = {**json.loads(plan.request), "model": offer.terms.model}
        most = Usage(prompt_tokens=plan.prompt_tokens, cached_tokens=0, completion_tokens=plan.completion_tokens)
        request = json.dumps(body, sort_keys=True, ensure_ascii=False)
        return dataclasses.replace(
            plan, model=offer.terms.model, request=request, usd=offer.prices.cost(most), redactions=()
        )

    def prices(self, model: str) -> Prices:
        """What a model of it costs; what the first one does, where it is asked for another no more."""
        return next((one.prices for one in self.offers if one.terms.model == model), self.offers[0].prices)

    def cost(self, model: str, usage: Usage) -> Decimal:
        """USD of one response of a model."""
        return self.prices(model).cost(usage)


def _cache_key(job: Job, cache: str) -> str:
    """A digest that tells nothing of the job; empty where requests are not to be grouped."""
    match cache:
        case "job":
            name = f"{job.owner}:{job.id}:{job.spec.title}"
        case "owner":
            name = job.owner
        case _:
            return ""
    return hashlib.sha256(name.encode()).hexdigest()[:32]

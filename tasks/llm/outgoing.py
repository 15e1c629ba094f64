"""A request to the cloud without the secrets in its texts. Pure: what is returned is what is stored, hashed and sent.

Must not know how a request is built, only that it is JSON."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Any

from tasks.llm.prices import Prices
from tasks.redaction import Redaction, Redactor
from tasks.types import CloudPlan, Usage

# Words of the API, not of a job.
_OURS = frozenset({"model", "prompt_cache_key"})


def without_secrets(plan: CloudPlan, redactor: Redactor, prices: Prices) -> CloudPlan:
    """The plan with `[redacted: KIND]` for each secret in its request; what it may cost at most is counted anew."""
    counts: Counter[str] = Counter()
    request = json.dumps(_redacted(json.loads(plan.request), redactor, counts), sort_keys=True, ensure_ascii=False)
    if not counts:
        return plan
    longer = max(0, len(request.encode()) - len(plan.request.encode()))  # a secret may be shorter than its mark
    most = Usage(prompt_tokens=plan.prompt_tokens + longer, cached_tokens=0, completion_tokens=plan.completion_tokens)
    return dataclasses.replace(
        plan,
        request=request,
        prompt_tokens=most.prompt_tokens,
        usd=prices.cost(most),
        redactions=tuple(Redaction(kind=kind, count=counts[kind]) for kind in sorted(counts)),
    )


def _redacted(value: Any, redactor: Redactor, counts: Counter[str]) -> Any:
    if isinstance(value, str):
        text, found = redactor.redact(value)
        counts.update({redaction.kind: redaction.count for redaction in found})
        return text
    if isinstance(value, list):
        return [_redacted(one, redactor, counts) for one in value]
    if isinstance(value, dict):
        return {key: one if key in _OURS else _redacted(one, redactor, counts) for key, one in value.items()}
    return value

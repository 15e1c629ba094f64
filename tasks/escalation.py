"""The cloud's turn at a job: at most one request for each decision, paid before it is sent. Over ports only.

Every step is committed before the next one begins, so that a turn killed anywhere is explained by what is stored:
an intent without an id may have been received, and is never sent again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tasks.crashpoints import CrashPoint, passing
from tasks.errors import Cancelled, CloudFault, CloudUnreached
from tasks.llm.guard import scan
from tasks.llm.prices import Prices, most_tokens
from tasks.llm.responsebody import CloudTerms, request_json
from tasks.ports import CloudModel, EscalationLedger, Heartbeat
from tasks.prompts import build
from tasks.types import (
    Claim,
    CloudAnswer,
    CloudEnd,
    CloudPlan,
    Completion,
    Egress,
    EscalationRecord,
    EscalationState,
    Job,
    Usage,
)

ENGINE = "openai responses"


class NoCloud:
    """The twin of a deployment without a cloud model: nothing is sent, and no answer comes."""

    def answer(self, claim: Claim, job: Job, number: int, heartbeat: Heartbeat) -> Completion | None:
        """None."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Implements `Cloud`. `fault_cap` turns in a row may fail to reach the cloud, or to fetch its answer; then the
    job goes on without it."""

    ledger: EscalationLedger
    cloud: CloudModel
    terms: CloudTerms
    prices: Prices
    fault_cap: int

    def answer(self, claim: Claim, job: Job, number: int, heartbeat: Heartbeat) -> Completion | None:
        """As the port has it: sent once, re-attached to by its id, or found in the ledger."""
        if job.spec.egress is not Egress.FULL:
            return None
        asked = self.ledger.find(claim, number)
        if asked is None:
            asked = self.ledger.intend(claim, number, self._plan(job))
            passing(CrashPoint.INTENDED)
            return self._send(claim, job, number, asked, heartbeat) if asked.state is EscalationState.INTENT else None
        if not asked.open:
            return asked.made
        match asked.state:
            case EscalationState.UNSENT:
                self.ledger.intend_again(claim, number)
                return self._send(claim, job, number, asked, heartbeat)
            case EscalationState.RUNNING if asked.response_id is not None:
                return self._conclude(claim, number, asked, partial(self.cloud.attach, asked.response_id, heartbeat))
            case _:
                why = "its turn ended between the request and the cloud's id, so it may have been received"
                return self._settle(claim, number, asked, CloudAnswer(end=CloudEnd.LOST, error=why))

    def _plan(self, job: Job) -> CloudPlan:
        system, user = build.escalate(job)
        key = hashlib.sha256(f"{job.owner}:{job.id}:{job.spec.title}".encode()).hexdigest()[:32]
        request = request_json(self.terms, instructions=system.content, prompt=user.content, cache_key=key)
        most = Usage(
            prompt_tokens=most_tokens(system.content + user.content),
            cached_tokens=0,
            completion_tokens=self.terms.output_tokens,
        )
        return CloudPlan(
            model=self.terms.model,
            request=request,
            usd=self.prices.cost(most),
            prompt_tokens=most.prompt_tokens,
            completion_tokens=most.completion_tokens,
        )

    def _send(
        self, claim: Claim, job: Job, number: int, asked: EscalationRecord, heartbeat: Heartbeat
    ) -> Completion | None:
        def identify(response_id: str) -> None:
            passing(CrashPoint.POSTED)
            self.ledger.identify(claim, number, response_id)
            passing(CrashPoint.IDENTIFIED)

        ask = partial(self.cloud.start, asked.plan.request, job.spec.egress or Egress.NEVER, identify, heartbeat)
        return self._conclude(claim, number, asked, ask)

    def _conclude(
        self, claim: Claim, number: int, asked: EscalationRecord, ask: Callable[[], CloudAnswer]
    ) -> Completion | None:
        """Asks, and commits what came of it. A fault goes on as it is, unless there were too many in a row."""
        last = asked.faults + 1 >= self.fault_cap
        try:
            answer = ask()
        except CloudUnreached as fault:
            self.ledger.hold_back(claim, number, str(fault), last=last)
            if last:
                return None
            raise
        except CloudFault as fault:
            if not last:
                raise
            answer = CloudAnswer(end=CloudEnd.LOST, error=f"given up: {fault}")
        except Cancelled:
            self._withdraw(claim, number, asked)
            raise
        return self._settle(claim, number, asked, answer)

    def _withdraw(self, claim: Claim, number: int, asked: EscalationRecord) -> None:
        """The job's owner has cancelled it: so is the response, and what it cost until then is charged."""
        now = self.ledger.find(claim, number)
        if now is not None and now.response_id is not None:
            answer = self.cloud.cancel(now.response_id)
        else:
            answer = CloudAnswer(end=CloudEnd.LOST, error="cancelled by its owner before the cloud's id was known")
        self._settle(claim, number, asked, answer)

    def _settle(self, claim: Claim, number: int, asked: EscalationRecord, answer: CloudAnswer) -> Completion | None:
        passing(CrashPoint.ANSWERED)
        made = self._completion(asked, answer)
        match answer.end:
            case CloudEnd.COMPLETED if answer.text.strip():
                state, error = EscalationState.DONE, ""
            case CloudEnd.LOST:
                state, error = EscalationState.UNKNOWN, answer.error
            case _:
                state, error = EscalationState.FAILED, answer.error or "it brought no text"
        self.ledger.settle(claim, number, state, made, error)
        passing(CrashPoint.SETTLED)
        return made if state is EscalationState.DONE else None

    def _completion(self, asked: EscalationRecord, answer: CloudAnswer) -> Completion:
        """What is charged: what the cloud says it used, nothing for a request that it did not take, and else the
        whole reservation."""
        plan = asked.plan
        used = Usage(prompt_tokens=plan.prompt_tokens, cached_tokens=0, completion_tokens=plan.completion_tokens)
        usd = plan.usd
        if answer.usage is not None:
            used, usd = answer.usage, self.prices.cost(answer.usage)
        elif answer.end is CloudEnd.REJECTED:
            used = Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0)
            usd = self.prices.cost(used)
        hit = scan(answer.text)
        made = Completion(
            text=answer.text if hit is None else answer.text[: hit.at_char],
            finish_reason="stop" if answer.end is CloudEnd.COMPLETED else answer.end,
            model=answer.model or plan.model,
            prompt_tokens=used.prompt_tokens,
            cached_tokens=used.cached_tokens,
            completion_tokens=used.completion_tokens,
            seconds=answer.seconds,
            guard=hit,
            usd=usd,
            engine=ENGINE,
        )
        return made if hit is None else dataclasses.replace(made, finish_reason="guard")

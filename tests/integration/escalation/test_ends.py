"""Every end that a request to the cloud can have, one a case: what the server did, how often it was asked and how often
it accepted, by its own count; what the job is charged, and what its owner reads."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from tasks.store.escalation_rows import escalation_rows
from tasks.store.invariants import breaches
from tasks.store.queries import job_egress, job_history, job_summary
from tasks.store.session import Database
from tasks.types import Budget
from tasks.waits import PATIENT
from tests.integration.escalation.cases import RIGHT, put, rows, run
from tests.standin.responses import serving
from workers.cli.escalated import line

pytestmark = pytest.mark.integration
MOST = PATIENT.tries


@dataclass(frozen=True, kw_only=True)
class End:
    """What the server does, and what comes of it. `charged` is nothing, all (that was reserved) or some (by its usage);
    `says` is in the line that a person reads."""

    fault: str
    state: str
    charged: str
    says: str
    posts: int = 1
    accepted: int = 1
    times: int = 0
    retry_after: str = ""

    def __str__(self) -> str:
        return self.fault + (f" {self.times} times" if self.times else "")


ENDS = (
    End(fault="", state="done", charged="some", says="answered, $0.0"),
    # Surely not accepted: it waits, is sent again, and is accepted once.
    End(fault="rate_limit", times=2, retry_after="20", state="done", charged="some", says="answered", posts=3),
    End(fault="overloaded", times=1, state="done", charged="some", says="answered", posts=2),
    End(fault="error_event", times=1, state="done", charged="some", says="answered", posts=2),
    End(fault="unrun", times=1, state="done", charged="some", says="answered", posts=2, accepted=2),
    End(fault="unrun_counted", times=1, state="done", charged="some", says="answered", posts=2, accepted=2),
    # It stays so: an honest end, uncharged.
    End(
        fault="rate_limit",
        state="failed",
        charged="nothing",
        says=f"429: Rate limit reached.; it was tried {MOST} times; nothing was charged",
        posts=MOST,
        accepted=0,
    ),
    End(
        fault="rate_limit",
        retry_after="7200",
        state="failed",
        charged="nothing",
        says="it would have waited",
        accepted=0,
    ),
    # Not accepted, and no waiting mends it.
    End(fault="quota", state="failed", charged="nothing", says="exceeded your current quota", accepted=0),
    End(fault="unrun_quota", state="failed", charged="nothing", says="exceeded your current quota.; nothing was"),
    End(fault="unauthorized", state="failed", charged="nothing", says="401: Incorrect API key", accepted=0),
    End(fault="forbidden", state="failed", charged="nothing", says="403: Country not supported.", accepted=0),
    End(fault="model_gone", state="failed", charged="nothing", says="404: The model `gpt-5.4` does not", accepted=0),
    End(fault="parameter", state="failed", charged="nothing", says="400: Unsupported parameter", accepted=0),
    # Nobody can say whether it was accepted.
    End(fault="server_error", state="unknown", charged="all", says="redraft escalation settle", accepted=0),
    End(fault="bad_gateway", state="unknown", charged="all", says="502", accepted=0),
    End(fault="proxy", state="unknown", charged="all", says="503", accepted=0),
    End(fault="timed_out", state="unknown", charged="all", says="408", accepted=0),
    End(fault="drop_before_created", state="unknown", charged="all", says="never sent again", accepted=0),
    End(fault="forgotten", state="unknown", charged="all", says="404"),
    # Accepted, without an answer.
    End(fault="prompt_filter", state="failed", charged="all", says="content policy.; charged in full", accepted=0),
    End(fault="failed", state="failed", charged="all", says="The model failed to answer.; charged in full"),
    End(fault="withdrawn", state="failed", charged="all", says="cancelled; charged in full"),
    End(fault="incomplete", state="failed", charged="some", says="incomplete: max_output_tokens; $0.0"),
    End(fault="incomplete_thoughts", state="failed", charged="some", says="incomplete: max_output_tokens; $0.0"),
    End(fault="answer_filter", state="failed", charged="some", says="incomplete: content_filter; $0.0"),
    End(fault="refused", state="failed", charged="some", says="the model refused: I can't help with that.; $0.0"),
    # The stream breaks, the answer is fetched by its id.
    End(fault="drop_after_created", state="done", charged="some", says="answered"),
)


@pytest.mark.parametrize("end", ENDS, ids=str)
def test_a_request_ends_as_the_server_ended_it(user: Database, fleet: Database, admin_url: str, end: End) -> None:
    rule = dataclasses.replace(RIGHT, fault=end.fault, times=end.times, retry_after=end.retry_after)
    with serving([rule]) as standin:
        job = put(user, budget=Budget(iterations=4))
        run(fleet, standin.url)
        assert (standin.posts, standin.accepted) == (end.posts, end.accepted)
    (asked,) = rows(fleet, job)
    assert asked.state == end.state
    charged = {"nothing": asked.usd == 0, "all": asked.usd == asked.reserved_usd}
    assert charged.get(end.charged, 0 < asked.usd < asked.reserved_usd)
    assert job_summary(user, job).spend.usd == asked.usd
    (row,) = escalation_rows(user, job)
    assert end.says in line(row)
    assert "\n" not in line(row)
    assert "sk-test" not in line(row)
    (left,) = job_egress(user, job)  # it did leave, whatever became of it
    assert left.state == end.state
    operators = [i.operator for i in job_history(user, job)]
    assert operators.count("escalate") == 1
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()

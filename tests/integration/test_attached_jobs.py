"""Jobs with files, on a real Postgres: what the model is shown, what is kept, and which worker may take them."""

from __future__ import annotations

import base64
import functools
import hashlib

import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.chat import OpenAIChatModel
from tasks.llm.scripted import ScriptedModel
from tasks.store import dispatch
from tasks.store.attachments import read_content
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import (
    Attachment,
    ChatRequest,
    CheckSpec,
    JobSpec,
    JobState,
    Lane,
    Modality,
)
from tests.loops import ENGINE_AND_CHECKS, corrected, run, twin_loop
from tests.standin.saying import serving

pytestmark = pytest.mark.integration
ANSWER = CheckSpec(name="answer:answer", kind="answer", value={"exact": "42"})
CONTENTS = {hashlib.sha256(content).hexdigest(): content for content in (b"x,y\n1,2\n", b"\x89PNG\r\n\x1a\n")}
TABLE, PICTURE = (
    Attachment(name=name, media_type=media_type, sha256=sha256, bytes=len(CONTENTS[sha256]))
    for sha256, name, media_type in zip(CONTENTS, ("t.csv", "p.png"), ("text/plain", "image/png"), strict=True)
)
TEXT_ONLY = frozenset({Modality.TEXT})


def put_with_files(user: Database, fleet: Database) -> int:
    """A job with a table and a picture, handed in while a model that takes pictures is served."""
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, version, modalities)
                    VALUES ('eyes', 'h', 1, '{gpu}', 1, '0', '{text,image}')""")
        )
    spec = JobSpec(title="t", problem="What is six times seven?", checks=(ANSWER,), attachments=(TABLE, PICTURE))
    return submit_jobs(user, [spec], CONTENTS)[0].job


def test_attachments_reach_the_model_and_the_journal_keeps_their_hashes_only(user: Database, fleet: Database) -> None:
    asked: list[ChatRequest] = []

    def look(request: ChatRequest) -> str:
        asked.append(request)
        return corrected(request)

    job = put_with_files(user, fleet)
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(look))
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert {len(request.messages[-1].attachments) for request in asked} == {1}
    (shown,) = asked[0].messages[-1].attachments
    assert (shown.name, shown.owner, read_content(fleet, shown)) == ("p.png", "alice", CONTENTS[PICTURE.sha256])
    assert all("Attached file t.csv:\n```\nx,y\n1,2\n```" in request.messages[-1].content for request in asked)
    with user.connect() as connection:
        (request,) = connection.execute(text("SELECT request FROM calls ORDER BY id LIMIT 1")).one()
    assert [a["sha256"] for a in request["messages"][-1]["attachments"]] == [PICTURE.sha256]
    assert "content" not in request["messages"][-1]["attachments"][0]


def test_the_stored_bytes_arrive_at_the_endpoint(user: Database, fleet: Database) -> None:
    job, ledger, media = put_with_files(user, fleet), PostgresLedger(fleet, fault_cap=3), list[str]()
    with serving(lambda text: "ANSWER: 42" if "x,y\n1,2" in text else "blind", media) as url:
        model = OpenAIChatModel(
            base_url=url,
            model="tiny",
            api_key="none",
            context_tokens=8192,
            first_token_seconds=20.0,
            token_silence_seconds=20.0,
            extra={},
            engine="test",
            files=functools.partial(read_content, fleet),
        )
        run(fleet, ledger, model)
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert media == [f"data:image/png;base64,{base64.b64encode(CONTENTS[PICTURE.sha256]).decode()}"]


def test_a_worker_whose_model_takes_text_only_leaves_the_model_calls_to_others(user: Database, fleet: Database) -> None:
    job, ledger, seen = put_with_files(user, fleet), PostgresLedger(fleet, fault_cap=3), list[str]()

    def turn(worker: str, lane: Lane, modalities: frozenset[Modality]) -> bool:
        def look(request: ChatRequest) -> str:
            seen.append(worker)
            return corrected(request)

        rules = dispatch.ClaimRules(affinity_seconds=0, modalities=modalities)
        claim = dispatch.claim(fleet, [lane], worker, "t", rules)
        if claim is not None:
            lanes = frozenset({lane} if worker == "eyes" else ENGINE_AND_CHECKS)
            twin_loop(ledger, ScriptedModel(look), modalities=modalities).turn(claim, lanes, SilentHeartbeat())
        return claim is not None

    for _ in range(2):
        assert not turn("blind", Lane.GPU, TEXT_ONLY)
        assert turn("eyes", Lane.GPU, frozenset(Modality))
        assert turn("blind", Lane.CHECK, TEXT_ONLY)  # and goes no further, though it serves both lanes
    assert set(seen) == {"eyes"}
    assert job_summary(user, job).iterations == 2


def test_a_job_whose_attachment_is_gone_ends_failed_with_the_reason(user: Database, fleet: Database) -> None:
    job = put_with_files(user, fleet)
    with fleet.begin() as connection:
        connection.execute(text("DELETE FROM attachments WHERE media_type = 'text/plain'"))
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(corrected))
    summary = job_summary(user, job)
    assert summary.state is JobState.FAILED
    assert "the attachment t.csv" in summary.reason
    assert "is not stored" in summary.reason

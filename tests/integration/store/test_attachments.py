"""The store of attachments on a real Postgres: once an owner, whole or not at all, and nobody else's."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from tasks.errors import AttachmentLost, InvalidInput
from tasks.store import dispatch
from tasks.store.attachments import read_content
from tasks.store.fleet import live_workers
from tasks.store.lease_renewer import LeaseRenewer
from tasks.store.ledger import PostgresLedger
from tasks.store.presence import WorkerRegistration
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Attachment, CheckSpec, JobSpec, Lane
from tests.background import running

pytestmark = pytest.mark.integration

CONTENT = "größe\n1\n".encode()
TABLE = Attachment(
    name="t.csv", media_type="text/plain", sha256=hashlib.sha256(CONTENT).hexdigest(), bytes=len(CONTENT)
)
SPEC = JobSpec(
    title="t",
    problem="p",
    checks=(CheckSpec(name="answer", kind="answer", value={"exact": "1"}),),
    attachments=(TABLE,),
)
CONTENTS = {TABLE.sha256: CONTENT}


@pytest.fixture
def alice(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("alice")) as database:
        yield database


@pytest.fixture
def bob(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("bob")) as database:
        yield database


def count(database: Database) -> int:
    with database.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM attachments")).scalar_one())


def test_a_content_is_kept_once_an_owner_and_need_not_be_handed_in_again(
    alice: Database, bob: Database, fleet: Database
) -> None:
    submit_jobs(alice, [SPEC, SPEC], CONTENTS)
    submit_jobs(alice, [SPEC])  # as a fork does
    assert count(fleet) == 1
    with pytest.raises(InvalidInput, match="its content must be submitted with the job"):
        submit_jobs(bob, [SPEC])
    submit_jobs(bob, [SPEC], CONTENTS)
    assert (count(alice), count(bob), count(fleet)) == (1, 1, 2)


def test_another_owner_can_neither_read_nor_change_nor_name_it(alice: Database, bob: Database, fleet: Database) -> None:
    submit_jobs(alice, [SPEC], CONTENTS)
    mine = dataclasses.replace(TABLE, owner="alice")
    assert read_content(alice, mine) == CONTENT
    with pytest.raises(AttachmentLost, match="is not stored"):
        read_content(bob, mine)
    for statement in ("UPDATE attachments SET content = ''", "DELETE FROM attachments"):
        with pytest.raises(ProgrammingError, match="permission denied"), bob.begin() as connection:
            connection.execute(text(statement))
    with bob.begin() as connection:  # past submit_jobs, with nothing but the hash
        connection.execute(
            text("""INSERT INTO jobs (spec_hash, title, problem, checks, strategy, lane, egress, budget_usd,
                    budget_hours, budget_iterations, budget_tokens, priority, attachments)
                    VALUES ('', 't', 'p', '[{"kind": "answer", "name": "answer", "value": 1}]', 'correct', 'gpu',
                            'never', 1, 1, 1, 1, 9, CAST(:files AS jsonb))"""),
            {"files": f'[{{"name": "a", "media_type": "text/plain", "sha256": "{TABLE.sha256}", "bytes": 1}}]'},
        )
    claim = dispatch.claim(fleet, [Lane.GPU], "w", "t", dispatch.ClaimRules())
    assert claim is not None
    with pytest.raises(AttachmentLost, match="is not stored"):
        PostgresLedger(fleet, fault_cap=3).load(claim)


def test_a_worker_reads_it_with_the_job_and_notices_a_changed_content(
    alice: Database, fleet: Database, admin_url: str
) -> None:
    submit_jobs(alice, [SPEC], CONTENTS)
    claim = dispatch.claim(fleet, [Lane.GPU], "w", "t", dispatch.ClaimRules())
    assert claim is not None
    job = PostgresLedger(fleet, fault_cap=3).load(claim)
    (stored,) = job.spec.attachments
    assert stored == dataclasses.replace(TABLE, owner="alice")
    assert job.texts == {TABLE.sha256: CONTENT.decode()}
    change = text("UPDATE attachments SET content = content || 'x'")
    with pytest.raises(IntegrityError, match="attachments_sha256"), fleet.begin() as connection:
        connection.execute(change)
    with Database(admin_url) as admin, admin.begin() as connection:  # as a file system may, too
        connection.execute(text("ALTER TABLE attachments DROP CONSTRAINT attachments_sha256"))
        connection.execute(change)
    with pytest.raises(AttachmentLost, match="was changed in the store"):
        read_content(fleet, stored)


def test_a_content_that_has_another_hash_is_refused_and_nothing_is_stored(alice: Database, fleet: Database) -> None:
    with pytest.raises(InvalidInput, match=r"t\.csv"):
        submit_jobs(alice, [SPEC], {TABLE.sha256: b"other"})
    assert count(fleet) == 0


def test_a_job_given_back_by_its_key_needs_no_model_now(alice: Database, fleet: Database) -> None:
    picture = dataclasses.replace(TABLE, name="p.png", media_type="image/png")
    keyed = dataclasses.replace(SPEC, attachments=(picture,), key="k")
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, version, modalities)
                    VALUES ('w', 'h', 1, '{gpu}', 1, '0', '{text,image}')""")
        )
    (first,) = submit_jobs(alice, [keyed], CONTENTS)
    with fleet.begin() as connection:
        connection.execute(text("DELETE FROM workers"))
    (again,) = submit_jobs(alice, [keyed], CONTENTS)
    assert (again.job, again.new) == (first.job, False)
    with pytest.raises(InvalidInput, match=r"attachments of 't': 'p\.png' .* lane gpu has no worker now"):
        submit_jobs(alice, [dataclasses.replace(keyed, key=None)] * 2, CONTENTS)


def test_a_worker_says_what_its_model_takes(login: Callable[..., str], fleet: Database) -> None:
    card = WorkerRegistration(
        name="w", host="h", pid=1, lanes=("gpu",), slots=1, model="m", version="0", modalities=("image", "text")
    )
    renewer = LeaseRenewer(login("fleet", "redraft_worker"), lambda: card, lease_seconds=0.5)
    with running(renewer.run):
        while not (found := live_workers(fleet)):
            pass
        assert found[0].modalities == ("image", "text")

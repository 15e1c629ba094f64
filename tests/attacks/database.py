"""Attacks of a submitter's login on a real Postgres with the newest schema: statements of every kind, and transactions
that are held open. Must not know how the schema refuses them: it looks at what was shown, and at what has changed."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tasks.errors import RedraftError
from tasks.store import dispatch, leases, reaping
from tasks.store.lease_renewer import LeaseRenewer
from tasks.store.presence import WorkerRegistration
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Attachment, CheckSpec, Claim, JobSpec, Lane
from tests.attacks.attack import Attack
from tests.attacks.statements import ALL, TABLES, Script
from tests.background import running

AREA = "database"
VICTIM, ATTACKER = "attacked", "attacker"
# In every text of the victim's: whoever is shown it has read what is not theirs.
MARK = "Sesame-7301"
LEASE_SECONDS = 1.5
Connection = psycopg.Connection[Any]


def attacks(admin_url: str, submitter_url: Callable[[str], str]) -> Iterator[Attack]:
    """Every attack, each on its own connection. `submitter_url` makes a submitter's login and gives its URL."""
    scene = _Scene(admin_url, submitter_url)
    for number, script in enumerate(ALL, start=1):
        name = _filled(f"{number}: {script.name}", me=ATTACKER, victim=VICTIM).decode()
        yield Attack(area=AREA, name=name, attempt=lambda script=script: scene.run(script))  # type: ignore[misc]
    for name, statements in HOLDS.items():
        yield Attack(area=AREA, name=f"holds {name}", attempt=lambda held=statements: scene.hold(held))  # type: ignore[misc]
    for channel, payload in itertools.product(("redraft_cancel", "redraft_pause"), ("", "junk", "9" * 30, "@held@")):
        yield Attack(
            area=AREA,
            name=f"notifies {channel} of {payload or 'nothing'}",
            attempt=lambda channel=channel, payload=payload: scene.notify(channel, payload),  # type: ignore[misc]
        )
    yield Attack(area=AREA, name="opens every connection", attempt=scene.exhaust)


# Statements of a transaction that stays open, the attacker's own job @own@ waiting, another of theirs held by a worker.
HOLDS: dict[str, tuple[str, ...]] = {
    "its own job's row by a pause": ("SELECT redraft_pause(@own@)",),
    "its own job's row by a cancel": ("SELECT redraft_cancel(@own@)",),
    "the row of its job that a worker has": ("SELECT redraft_pause(@mine@)",),
    "another's row by a cancel": ("SELECT redraft_cancel(@held@)",),
    "another's row by a pause": ("SELECT redraft_pause(@held@)",),
    "another's row by a retry": ("SELECT redraft_retry(@held@, NULL, NULL, NULL, NULL)",),
    "rows for update": ("SELECT 1 FROM jobs FOR UPDATE", "SELECT 1 FROM leases FOR UPDATE"),
    "rows for share": ("SELECT 1 FROM jobs FOR KEY SHARE", "SELECT 1 FROM leases FOR SHARE"),
    "a submission with a key": (
        "INSERT INTO jobs (key, spec_hash, title, problem, checks, strategy, lane, egress, budget_usd, budget_hours,"
        " budget_iterations, budget_tokens) VALUES ('same', 'h', 't', 'p', '[{\"kind\": \"answer\", \"name\": \"a\","
        " \"value\": 1}]', 'correct', 'gpu', 'never', 1, 1, 1, 1)",
    ),
    **{
        f"jobs in mode {mode.lower()}": (f"LOCK TABLE jobs IN {mode} MODE", f"LOCK TABLE leases IN {mode} MODE")
        for mode in ("ACCESS SHARE", "ROW EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE")
    },
    "the wake-up's lock": ("SELECT pg_advisory_xact_lock(hashtext('redraft_wake'))",),
    "the migrations' lock": ("SELECT pg_advisory_xact_lock(8243106208073639540)",),
    "a snapshot, without its session's limits": (
        "SET idle_in_transaction_session_timeout = 0",
        "SET lock_timeout = 0",
        "SELECT redraft_pause(@own@), redraft_pause(@mine@)",
    ),
}


@dataclass
class _Scene:
    """A victim with a job that has a past, an attacker with one of their own."""

    admin_url: str
    submitter_url: Callable[[str], str]
    job: int = field(init=False)
    own: int = field(init=False)
    lesson: int = field(init=False)

    def __post_init__(self) -> None:
        self.victim, self.attacker = self.submitter_url(VICTIM), self.submitter_url(ATTACKER)
        self.job, self.own = _submit(self.victim, MARK), _submit(self.attacker, "mine")
        with _connect(self.admin_url) as admin:
            for statement in _PAST:
                admin.execute(_filled(statement, job=self.job, mark=MARK, victim=VICTIM))
            (self.lesson,) = admin.execute("SELECT max(id) FROM lessons").fetchone() or (0,)

    # ── statements ───────────────────────────────────────────────────────────────────────────

    def run(self, script: Script) -> str | None:
        """What was shown or changed, or ran though it must not."""
        with _connect(self.admin_url) as admin:
            before = _state(admin, self.job)
            shown, ran = self._try(script.statements)
            after = _state(admin, self.job)
        changed = [name for name in after if after[name] != before.get(name)]
        if changed:
            return f"it changed {', '.join(changed)}"
        named = any("@victim@" in statement for statement in script.statements)
        for text in (MARK,) if named else (MARK, VICTIM):
            if text in shown:
                return f"it was shown {text!r}"
        return f"it ran: {script.statements[-1][:100]}" if script.refused and ran else None

    def _try(self, statements: Sequence[str]) -> tuple[str, bool]:
        """All that the login was shown, errors and notices included, and whether the last statement ran."""
        shown: list[str] = []
        ran = False
        with _connect(self.attacker) as connection:
            connection.add_notice_handler(lambda notice: shown.append(f"{notice.message_primary}"))
            for statement in statements:
                try:
                    shown += _rows(connection, self._filled(statement))
                    ran = True
                except psycopg.Error as error:
                    shown += [str(error), str(error.diag.message_detail), str(error.diag.context)]
                    ran = False
        return "\n".join(shown), ran

    def _filled(self, statement: str, **more: object) -> bytes:
        named = {"job": self.job, "own": self.own, "lesson": self.lesson, "me": ATTACKER, "victim": VICTIM}
        return _filled(statement, **{**named, **more})

    # ── transactions that stay open ──────────────────────────────────────────────────────────

    def hold(self, statements: Sequence[str]) -> str | None:
        """What of a worker and of another owner the open transaction stops."""
        with self._held() as (heartbeat, held, mine), _connect(self.attacker, autocommit=False) as connection:
            connection.execute("SELECT 1")  # the transaction that stays open; each statement is tried in a savepoint
            for statement in statements:
                with contextlib.suppress(psycopg.Error), connection.transaction():
                    connection.execute(self._filled(statement, held=held.job, mine=mine.job))
            stopped = self._stopped(held)
            lost = _not_renewed(heartbeat)
            connection.rollback()
        return stopped or lost

    def notify(self, channel: str, payload: str) -> str | None:
        """Whether a notification of the attacker's stops the victim's turn, or the renewals of its worker."""
        with self._held() as (heartbeat, held, _), _connect(self.attacker) as connection:
            connection.execute("SELECT pg_notify(%s, %s)", (channel, payload.replace("@held@", str(held.job))))
            return _not_renewed(heartbeat)

    def exhaust(self) -> str | None:
        """Whether another owner and a worker can connect while the attacker opens what they can."""
        opened: list[Connection] = []
        try:
            with contextlib.suppress(psycopg.OperationalError):
                while len(opened) < 1000:
                    opened.append(_connect(self.attacker))
            for url in (self.victim, self.admin_url):
                _connect(url).close()
        except psycopg.OperationalError as error:
            return f"after {len(opened)} connections: {error}"
        finally:
            for connection in opened:
                connection.close()
        return None

    @contextlib.contextmanager
    def _held(self) -> Iterator[tuple[Any, Claim, Claim]]:
        """A worker that holds one job of the victim's and one of the attacker's."""
        card = WorkerRegistration(name="holder", host="h", pid=1, lanes=("gpu",), slots=2, model="m", version="0")
        renewer = LeaseRenewer(self.admin_url, lambda: card, lease_seconds=LEASE_SECONDS)
        with Database(self.admin_url) as database:
            held, mine = self._claim(database, self.victim), self._claim(database, self.attacker)
            heartbeat = renewer.hold(held)
            renewer.hold(mine)
            with running(renewer.run):
                yield heartbeat, held, mine

    @staticmethod
    def _claim(database: Database, url: str) -> Claim:
        """A new job of this login, held."""
        job = _submit(url, "to be held")
        with database.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE leases SET epoch = 1, worker = 'holder', turn = 't', lease_until = now() + %s::interval"
                " WHERE job_id = %s",
                (f"{LEASE_SECONDS} s", job),
            )
        return Claim(job=job, epoch=1, worker="holder", turn="t")

    def _stopped(self, held: Claim) -> str | None:
        """What no longer goes on beside the open transaction."""
        try:
            with Database(self.admin_url, lock_seconds=2) as worker, Database(self.victim, lock_seconds=2) as victim:
                with worker.begin() as connection:
                    leases.fence(connection, held)
                submit_jobs(victim, [_spec("beside it", key=f"same{time.monotonic_ns()}")])
                if dispatch.claim(worker, [Lane.GPU], "other", "t", dispatch.ClaimRules(lease_seconds=0.01)) is None:
                    return "nothing could be claimed"
                reaping.reap(worker, crash_cap=1000)
        except RedraftError as error:
            return str(error)
        return None


def _not_renewed(heartbeat: Any) -> str | None:
    """Waits for two renewals; why there were none, or what the turn was told meanwhile."""
    for _ in range(2):
        before, deadline = heartbeat.renewed_at, time.monotonic() + 4 * LEASE_SECONDS
        while heartbeat.renewed_at == before:
            if time.monotonic() > deadline:
                return "the victim's lease was not renewed"
            time.sleep(0.02)
    return "the victim's turn was stopped" if heartbeat.cancelled or heartbeat.paused or heartbeat.lost else None


def _connect(url: str, *, autocommit: bool = True) -> Connection:
    return psycopg.connect(url.replace("+psycopg", "", 1), autocommit=autocommit, connect_timeout=10)


def _rows(connection: Connection, statement: bytes) -> list[str]:
    with connection.cursor() as cursor:
        if re.match(rb"COPY .* TO STDOUT$", statement):
            with cursor.copy(statement) as copy:
                return [bytes(block).decode(errors="replace") for block in copy]
        cursor.execute(statement)
        return [str(row) for row in cursor.fetchall()] if cursor.description else []


def _filled(statement: str, **named: object) -> bytes:
    for name, value in named.items():
        statement = statement.replace(f"@{name}@", str(value))
    return statement.encode()


_FILE = f"{MARK}, in a file".encode()


def _spec(title: str, key: str | None = None, *, attached: bool = False) -> JobSpec:
    file = Attachment(name="a.txt", media_type="text/plain", sha256=hashlib.sha256(_FILE).hexdigest(), bytes=len(_FILE))
    return JobSpec(
        title=title,
        problem=f"S: {title}",
        checks=(CheckSpec(name="answer", kind="answer", value={"exact": title}),),
        key=key,
        attachments=(file,) if attached else (),
    )


def _submit(url: str, title: str) -> int:
    with Database(url) as database:
        contents = {hashlib.sha256(_FILE).hexdigest(): _FILE}
        return submit_jobs(database, [_spec(title, attached=title == MARK)], contents)[0].job


# What a worker leaves of a job, in every table.
_PAST = (
    "UPDATE leases SET runnable = false WHERE job_id = @job@",
    "UPDATE jobs SET answer = '@mark@', answer_iteration = 1, answer_slot = 0, iterations = 1, score = 0.5"
    " WHERE id = @job@",
    "INSERT INTO iterations (job_id, number, operator, move, decision, best_slot, started_at, finished_at)"
    " VALUES (@job@, 1, 'draft', '{\"why\": \"@mark@\"}', '@mark@', 0, now(), now())",
    "INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision)"
    " VALUES (@job@, 1, 0, 'draft', '@mark@', 1, 0, 0)",
    "INSERT INTO verdicts VALUES (@job@, 1, 0, 'answer', 0, 'answer', false, false, 0, '@mark@', 0, 'w', 1)",
    "INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text, finish_reason,"
    " prompt_tokens, cached_tokens, completion_tokens, seconds, worker, epoch)"
    " VALUES (@job@, 1, 'draft', 0, 1, 'm', '{\"prompt\": \"@mark@\"}', 'h', '@mark@', 'stop', 1, 0, 1, 1, 'w', 1)",
    "INSERT INTO lessons (job_id, owner, kind, situation, advice, avoid, evidence)"
    " VALUES (@job@, '@victim@', 'success', '@mark@', '@mark@', '', '@mark@')",
    "INSERT INTO escalations (job_id, iteration, kind, model, state, request, text)"
    " VALUES (@job@, 1, 'answer', 'm', 'done', '{\"input\": \"@mark@\"}', '@mark@')",
    "INSERT INTO outbox (job_id, topic, payload, delivered_at) VALUES (@job@, 'none', '{\"text\": \"@mark@\"}', now())",
    "INSERT INTO crashes VALUES (@job@, 0, 'w', '@mark@', 1, 1, 1, 1, 1)",
    "INSERT INTO reservations (job_id, epoch, iteration, operator, slot, attempt, tokens)"
    " VALUES (@job@, 1, 1, '@mark@', 0, 1, 1)",
    "INSERT INTO owner_usage VALUES ('@victim@', now(), 1)",
    "INSERT INTO daily_limits (owner, usd) VALUES ('@victim@', 1) ON CONFLICT DO NOTHING",
    "INSERT INTO daily_warnings VALUES ('@victim@', current_date, 'usd', 50) ON CONFLICT DO NOTHING",
    "INSERT INTO events (job_id, kind, detail) VALUES (@job@, 'fault', '@mark@')",
    "INSERT INTO hints (job_id, text, given_by) VALUES (@job@, '@mark@', '@victim@')",
    "INSERT INTO questions (job_id, iteration, text, answer_until) VALUES (@job@, 1, '@mark@', now())",
    "INSERT INTO edits (job_id, given_by, before, after, iterations, title)"
    " VALUES (@job@, '@victim@', '{}', '{}', 1, '@mark@')",
    "INSERT INTO live_text (job_id, epoch, iteration, operator, slot, attempt, text, thoughts, chars, thought_chars,"
    " tokens) VALUES (@job@, 1, 1, 'draft', 0, 1, '@mark@', '@mark@', 1, 1, 1)",
    "INSERT INTO batches (owner, budget_tokens) VALUES ('@victim@', 1)",
    "INSERT INTO family_counts (owner, family, earlier, partly) VALUES ('@victim@', '@mark@', 1, false)",
    "ANALYZE",
)


def _state(admin: Connection, job: int) -> dict[str, Any]:
    """What no submitter may change: the victim's rows, the logins and their rights, the schema."""
    found: dict[str, Any] = {}
    for table, columns in TABLES.items():
        mine = "job_id = %(job)s" if "job_id" in columns else "owner = %(victim)s" if "owner" in columns else "true"
        query = f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM public.{table} t WHERE {mine}"
        found[f"the victim's {table}"] = admin.execute(query.encode(), {"job": job, "victim": VICTIM}).fetchone()
    for name, query in _CATALOGUE.items():
        digest = f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM ({query}) t"
        found[name] = admin.execute(digest.encode()).fetchone()
    return found


_CATALOGUE = {
    "the logins": "SELECT * FROM pg_authid",
    "who is in which role": "SELECT roleid, member, admin_option FROM pg_auth_members",
    "the settings of others": "SELECT setrole, setconfig FROM pg_db_role_setting s"
    f" WHERE setrole NOT IN (SELECT oid FROM pg_roles WHERE rolname = '{ATTACKER}')",
    "the functions": "SELECT proname, proowner, proacl, prosrc, proconfig, prosecdef FROM pg_proc"
    " WHERE pronamespace = 'public'::regnamespace",
    "the relations": "SELECT relname, relowner, relacl, relrowsecurity, relforcerowsecurity FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace",
    "the policies": "SELECT polname, polrelid, polroles, pg_get_expr(polqual, polrelid) FROM pg_policy",
    "the constraints": "SELECT conname, conrelid, pg_get_constraintdef(oid) FROM pg_constraint",
    "the triggers": "SELECT tgname, tgrelid, tgenabled FROM pg_trigger",
    "the schemas": "SELECT nspname, nspowner, nspacl FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'",
    "the databases": "SELECT datname, datdba, datacl FROM pg_database WHERE datname = current_database()",
    "the extensions": "SELECT extname FROM pg_extension",
    "the large objects": "SELECT oid FROM pg_largeobject_metadata",
    "the event triggers": "SELECT evtname FROM pg_event_trigger",
    "the numbers of jobs": "SELECT 1 FROM jobs WHERE id > 1000000 OR id < 1",
    "what a submitter's job claims": f"SELECT id FROM jobs WHERE owner = '{ATTACKER}' AND (answer IS NOT NULL"
    " OR acceptance IS NOT NULL OR score IS NOT NULL OR spent_usd <> 0"
    " OR state NOT IN ('queued', 'paused', 'cancelled'))",
}

"""What `redraft doctor` checks of the services: the local stack's, or those that are configured. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from workers.cli.findings import Finding

if TYPE_CHECKING:
    from tasks.settings import Settings

PROBE_SECONDS = 5.0


def stack(settings: Settings) -> Finding | None:
    """The parts of the local stack; None where services are configured instead."""
    from workers.home import Home
    from workers.local import stack as local

    if settings.database_url.get_secret_value():
        return None
    parts = local.status(Home(root=settings.home))
    if not parts:
        return Finding(
            name="stack", outcome="warn", detail="no local stack is running", advice="`redraft up` starts it"
        )
    ill = [
        f"{part.name} {part.health}" + (f" ({part.why})" if part.why else "")
        for part in parts
        if part.health != "ok" or part.why
    ]
    if ill:
        ill += [
            why for part in parts if part.name == "engine" and part.health == "down" if (why := _diagnosis(settings))
        ]
        advice = f"look into {settings.home / 'log'}; `redraft down` and `up` start it afresh"
        return Finding(name="stack", outcome="fail", detail=", ".join(ill), advice=advice)
    return Finding(name="stack", outcome="ok", detail=", ".join(part.name for part in parts))


def postgres(settings: Settings) -> Finding | None:
    """Whether it answers, with the schema of this release."""
    from tasks.store import migrate

    url = _database(settings)
    if url is None:
        return None
    now, head = migrate.current(url), migrate.head()
    if now != head:
        detail = f"the schema is {now or 'missing'}, this release is written for {head}"
        return Finding(name="postgres", outcome="fail", detail=detail, advice="run `redraft db upgrade`")
    return Finding(name="postgres", outcome="ok", detail=f"{_place(url)}, schema {now}")


def broker(settings: Settings) -> Finding | None:
    """Whether the Redis-protocol server answers; people need none, workers and the relay do."""
    from contextlib import closing

    from tasks.errors import BrokerUnavailable
    from workers.broker import Broker

    url = settings.broker_url.get_secret_value() or _of_stack(settings, "broker_url")
    if url is None:
        if not settings.database_url.get_secret_value():
            return None
        advice = "set REDRAFT_BROKER_URL where a worker or the relay shall run"
        return Finding(name="broker", outcome="warn", detail="none is configured", advice=advice)
    try:
        with closing(Broker(url, seconds=PROBE_SECONDS)) as client:
            client.ping()
    except BrokerUnavailable as error:
        advice = "jobs are kept and wait until it is back"
        return Finding(name="broker", outcome="fail", detail=f"{_place(url)}: {error}", advice=advice)
    return Finding(name="broker", outcome="ok", detail=_place(url))


def worker(settings: Settings) -> Finding | None:
    """Whether a worker is alive."""
    from tasks.client import Client
    from workers.failures import read_failure
    from workers.home import Home

    url = _database(settings)
    if url is None:
        return None
    with Client(url, name="redraft doctor", pool=1) as client:
        workers = client.workers()
    alive = [worker for worker in workers if worker.live]
    if not alive:
        silent = f"; {len(workers)} went silent" if workers else ""
        silent += (
            f"; the last one of this home: {why}" if (why := read_failure(Home(root=settings.home), "worker")) else ""
        )
        return Finding(name="worker", outcome="warn", detail=f"no worker is alive{silent}", advice="`redraft worker`")
    detail = "; ".join(
        f"{worker.name} serves {','.join(worker.lanes)} with {worker.slots} slots for {','.join(worker.modalities)}"
        for worker in alive
    )
    return Finding(name="worker", outcome="ok", detail=detail)


def relay(settings: Settings) -> Finding | None:
    """Whether a relay is connected."""
    from tasks.client import Client

    url = _database(settings)
    if url is None:
        return None
    with Client(url, name="redraft doctor", pool=1) as client:
        connected = client.relay_connected()
    if not connected:
        return Finding(name="relay", outcome="warn", detail="no relay is connected", advice="`redraft relay`")
    return Finding(name="relay", outcome="ok", detail="connected to Postgres")


def engine(settings: Settings) -> Finding | None:
    """What an attached endpoint is and lacks, else which engine runs here, or would."""
    from tasks.errors import EngineFault, InvalidInput
    from workers.engine.select import attach

    if not (attached := _attached(settings)).endpoint:
        return _hosted(settings)
    try:
        host = attach(attached)
        host.examine()
    except (EngineFault, InvalidInput) as error:
        detail = " ".join(str(error).split())
        return Finding(name="engine", outcome="fail", detail=detail, advice="it must speak OpenAI's API")
    profile, lacks = host.profile, host.missing()
    detail = f"{host.describe()}, {profile.slots} slots of {profile.max_model_len} tokens"
    if lacks:
        return Finding(name="engine", outcome="warn", detail="; ".join((detail, *lacks)))
    return Finding(name="engine", outcome="ok", detail=detail)


def _hosted(settings: Settings) -> Finding | None:
    from tasks.errors import InvalidInput
    from workers.engine.select import choose_for, hardware_for, running_engine

    if running := running_engine(settings):
        record, profile = running
        detail = f"{profile.engine} ({record.version or 'starting'}) serves {profile.name}"
        return Finding(name="engine", outcome="ok", detail=detail)
    if settings.database_url.get_secret_value():  # of a deployment, whose engines run where its workers do
        return None
    try:
        choice = choose_for(settings, hardware_for(settings))
    except InvalidInput as error:
        advice = "`redraft engine probe` explains it; `--endpoint` attaches a server elsewhere"
        return Finding(name="engine", outcome="warn", detail=str(error), advice=advice)
    detail = f"none runs; {choice.profile.engine} would serve {choice.profile.name}: {choice.why}"
    return Finding(name="engine", outcome="ok", detail=detail)


def memory(settings: Settings) -> Finding:
    """Whether the memory of earlier jobs answers."""
    from tasks.errors import MemoryUnavailable
    from workers.addresses import memory_bank

    bank = memory_bank(settings)
    if bank is None:
        advice = "`redraft up` starts one, REDRAFT_MEMORY_URL names a Qdrant server"
        return Finding(name="memory", outcome="ok", detail=f"none: jobs recall nothing; {advice}")
    try:
        count = bank.count()
    except MemoryUnavailable as error:
        return Finding(name="memory", outcome="warn", detail=str(error), advice="jobs go on without lessons")
    finally:
        bank.close()
    return Finding(name="memory", outcome="ok", detail=f"{count} lessons")


def cloud(settings: Settings) -> Finding:
    """Whether text may be sent to the cloud."""
    from tasks.types import Egress

    if not settings.has_adviser:
        return Finding(name="cloud", outcome="ok", detail="no OpenAI key: nothing can leave this deployment")
    who = f"the adviser {settings.adviser_url} is" if settings.adviser_url else "an OpenAI key is"
    if settings.egress is Egress.NEVER:
        detail = f"{who} configured and egress is {settings.egress}: nothing leaves this deployment"
        return Finding(name="cloud", outcome="ok", detail=detail)
    detail = f"{who} configured and egress is {settings.egress}: text may leave"
    return Finding(name="cloud", outcome="ok", detail=detail)


def hooks(settings: Settings) -> Finding | None:
    """Whether those who are told of events hear of them; None where nobody is, or the login may not know."""
    from tasks.errors import RedraftError
    from workers.addresses import worker_database_url
    from workers.cli.client import job_lines
    from workers.hooks.configured import hooks_of

    named = {hook.name for hook in hooks_of(settings)}
    try:
        with job_lines(worker_database_url(), name="redraft doctor") as lines:
            rows = lines.hooks()
    except RedraftError:
        return None
    if missing := sorted(named - {row.name for row in rows}):
        detail = f"{', '.join(missing)}: in the settings here, and unknown to the relay"
        return Finding(name="hooks", outcome="warn", detail=detail, advice="the relay reads them when it starts")
    if trouble := [f"{row.name}: {row.trouble}" for row in rows if row.trouble]:
        advice = "`redraft hooks test` shows the answer, `redraft hooks retry` sends again"
        return Finding(name="hooks", outcome="warn", detail="; ".join(trouble), advice=advice)
    told = ", ".join(f"{row.name} was told of {row.delivered}" for row in rows)
    return Finding(name="hooks", outcome="ok", detail=told) if rows else None


def promises(settings: Settings) -> Iterator[Finding]:
    """One finding for each invariant of the design, over all the rows that the login may see."""
    from tasks.errors import RedraftError
    from tasks.store.invariants import INVARIANTS, breaches
    from tasks.store.session import Database

    url = _of_stack(settings, "worker_url") or settings.database_url.get_secret_value()
    if not url:
        return
    try:
        with Database(url, name="redraft doctor", pool=1) as database:
            broken_promises = breaches(database)
    except RedraftError as error:
        yield Finding(name="promises", outcome="fail", detail=" ".join(str(error).split("\n")))
        return
    for invariant in INVARIANTS:
        broken = [breach for breach in broken_promises if breach.invariant == invariant.name]
        first = f"; job {broken[0].job}: {broken[0].what}" if broken else ""
        detail = f"{invariant.name}: {len(broken)} breaches{first}"
        yield Finding(name="promises", outcome="fail" if broken else "ok", detail=detail)


def _diagnosis(settings: Settings) -> str:
    """Why the engine ended, where its log shows a known cause."""
    from workers.engine.diagnostics import diagnose, read_since
    from workers.home import Home

    diagnosis = diagnose(read_since(Home(root=settings.home).log / "engine.log", 0))
    return f"likely: {diagnosis.meaning}" if diagnosis else ""


def _database(settings: Settings) -> str | None:
    return settings.database_url.get_secret_value() or _of_stack(settings, "user_url")


def _of_stack(settings: Settings, name: str) -> str | None:
    from workers import stackfile

    stack = stackfile.read(settings.home)
    return None if stack is None else str(getattr(stack, name))


def _attached(settings: Settings) -> Settings:
    """With the running stack's endpoint where none is configured here."""
    from pydantic import SecretStr

    from workers import stackfile

    stack = stackfile.read(settings.home)
    if settings.endpoint or stack is None or not stack.endpoint:
        return settings
    named = {
        "endpoint": stack.endpoint,
        "endpoint_model": stack.endpoint_model,
        "endpoint_key": SecretStr(stack.endpoint_key),
        "endpoint_context_tokens": stack.endpoint_context_tokens,
    }
    return settings.model_copy(update=named)


def _place(url: str) -> str:
    """Host, port and path of a URL, without its credentials."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or ''}{Path(parts.path)}"

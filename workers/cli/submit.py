"""`redraft submit`: files and flags → stored jobs, all of them or none."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tasks.types import Egress
from workers.cli import output

if TYPE_CHECKING:
    from tasks.settings import Settings
    from tasks.store.summaries import WorkerRow
    from tasks.submit import HandedIn, Rules
    from tasks.types import CheckSpec, JobSpec

app = typer.Typer()
CHECKS_TRIED = 50  # a quarter of a second each
FILES_NAMED = 8
# How an operator opens the deployment; a key that lies in the environment for other tools opens nothing.
CLOUD_BY = "`redraft up --cloud`, or REDRAFT_EGRESS=full and an OpenAI key"


@app.command()
def submit(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Markdown problems, .jsonl files, or - for standard input.")
    ],
    check: Annotated[
        list[str], typer.Option("--check", metavar="KIND:VALUE", help="Add a check; paths start at the job file.")
    ] = [],  # noqa: B006  (typer reads it and hands out a new list)
    hidden_check: Annotated[
        list[str], typer.Option("--hidden-check", metavar="KIND:VALUE", help="Add a check the model never sees.")
    ] = [],  # noqa: B006
    budget: Annotated[
        list[str], typer.Option("--budget", metavar="usd=2,hours=4,iterations=30,tokens=N", help="Spend no more.")
    ] = [],  # noqa: B006
    strategy: Annotated[str | None, typer.Option(metavar="NAME", help="correct, best_of_n or single.")] = None,
    lane: Annotated[str | None, typer.Option(metavar="gpu|fast", help="Which model drafts.")] = None,
    egress: Annotated[str | None, typer.Option(metavar="never|hint|full", help="What may leave for the cloud.")] = None,
    priority: Annotated[int | None, typer.Option(help="From -100 to 100; higher runs first.")] = None,
    tag: Annotated[list[str], typer.Option("--tag", metavar="T", help="Add a tag.")] = [],  # noqa: B006
    title: Annotated[str | None, typer.Option(help="Instead of the first heading or line.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all sampling.")] = None,
    key: Annotated[str | None, typer.Option(metavar="K", help="The same key gives the same job back.")] = None,
    no_memory: Annotated[
        bool, typer.Option("--no-memory", help="Recall nothing that earlier jobs taught, and leave no lesson.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the jobs are finished; exits as `wait` does.")
    ] = False,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds to wait at most, with --wait.")] = None,
    as_json: output.Json = False,
) -> None:
    """Hand in problems: Markdown with front matter, JSON lines, or standard input.

    Single values beat those of the job file; checks and tags are added to its own. Everything is validated
    before anything is stored. Prints the number of each job; --json: one object a line.
    """
    from tasks.jobchecks import parse_check_flag
    from tasks.settings import load_settings
    from tasks.store.fleet import live_workers
    from tasks.store.submissions import submit_jobs
    from tasks.submit import Flags, parse_budget_flag, read_jobs
    from workers.cli.database import open_database
    from workers.cli.progress import Bars

    visible = [parse_check_flag(text, held_out=False, flag="--check") for text in check]
    hidden = [parse_check_flag(text, held_out=True, flag="--hidden-check") for text in hidden_check]
    flags = Flags(
        title=title,
        checks=(*visible, *hidden),
        budget=parse_budget_flag(budget),
        strategy=strategy,
        lane=lane,
        egress=egress,
        priority=priority,
        tags=tuple(tag),
        seed=seed,
        key=key,
        memory=False if no_memory else None,
    )
    settings = load_settings()
    with Bars(sys.stderr) as shown:
        checked = functools.partial(shown.tell, "checked")
        handed_in = read_jobs(files, flags, rules(settings), sys.stdin.buffer.read, checked)
        specs = handed_in.specs
        check_runtimes(handed_in, settings)
        try_checks(handed_in, settings, functools.partial(shown.tell, "loaded"))
        with open_database() as database:
            stored = functools.partial(shown.tell, "stored")
            made = submit_jobs(database, specs, handed_in.contents, stored, egress=egress_said(settings))
            workers = live_workers(database)
    _name_files(specs)
    output.note(_cloud(specs, [one.egress for one in made], workers))
    found = sum(1 for one in made if not one.new)
    if found:
        output.note(f"{found} of {len(made)} keys had been used before: the same jobs are given back")
    if as_json and not wait:
        for one, spec in zip(made, specs, strict=True):
            output.emit_line({"job": one.job, "new": one.new, "title": spec.title})
    elif not as_json:
        for one in made:
            print(one.job)
    if wait:
        from workers.cli.watch import wait_for

        sys.stdout.flush()
        raise typer.Exit(wait_for([one.job for one in made], timeout, as_json=as_json))


def rules(settings: Settings) -> Rules:
    """What this installation allows: the checks and strategies that are installed, and the egress that is set."""
    from importlib.metadata import entry_points

    from tasks.submit import Rules
    from tasks.validators import registry

    strategies = sorted({entry.name for entry in entry_points(group="redraft.strategies")})
    return Rules(validators=registry, strategies=tuple(strategies), egress=egress_said(settings))


def egress_said(settings: Settings) -> Egress | None:
    """What this installation says of jobs that name no egress; None where it leaves that to the deployment."""
    return settings.egress if "egress" in settings.model_fields_set else None


def check_runtimes(handed_in: HandedIn, settings: Settings) -> None:
    """With the stack on this machine, a runtime that is not here is nowhere. Raises `InvalidInput`."""
    from tasks.errors import InvalidInput
    from tasks.validators.packages import NamedRuntimes
    from tasks.validators.sandbox import default_runtime_folder

    if settings.database_url.get_secret_value():
        return  # the workers are elsewhere
    known = NamedRuntimes(default_runtime_folder(settings.cache)).names()
    for place, spec in zip(handed_in.places, handed_in.specs, strict=True):
        for number, check in enumerate(spec.checks):
            if check.runtime and check.runtime not in known:
                allowed = f"runtimes here are {', '.join(known)}; `redraft sandbox add NAME PACKAGE...` builds one"
                raise InvalidInput(f"{place}: checks[{number}].runtime", check.runtime, allowed)


def try_checks(handed_in: HandedIn, settings: Settings, tell: Callable[[int, int], None]) -> None:
    """Tries checks that can be tried before there is a candidate: each once, up to a bound. Raises `InvalidInput`."""
    from tasks.errors import InvalidInput, SandboxUnavailable
    from tasks.heartbeat import SilentHeartbeat
    from tasks.ports import DryRun
    from tasks.validators import registry
    from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder

    distinct = {
        _fingerprint(one): (f"{place}: checks[{number}]", one)
        for place, spec in zip(handed_in.places, handed_in.specs, strict=True)
        for number, one in enumerate(spec.checks)
        if isinstance(registry.find(one.kind), DryRun)
    }
    tried = list(distinct.values())
    sandbox = BubblewrapSandbox(default_runtime_folder(settings.cache))
    for done, (where, one) in enumerate(tried[:CHECKS_TRIED], start=1):
        kind = registry.find(one.kind)
        assert isinstance(kind, DryRun)
        try:
            kind.dry_run(one, sandbox, SilentHeartbeat())
        except SandboxUnavailable as error:
            output.note(f"no tests were loaded before storing: {error}")
            return
        except InvalidInput as error:
            raise InvalidInput(f"{where}.{error.field}", error.value, error.allowed) from None
        tell(done, min(len(tried), CHECKS_TRIED))
    if len(tried) > CHECKS_TRIED:
        output.note(f"the tests of {CHECKS_TRIED} checks were loaded, those of {len(tried) - CHECKS_TRIED} were not")


def _fingerprint(check: CheckSpec) -> bytes:
    """The same for checks that a dry run can't tell apart; short, as the files of ten thousand jobs are not."""
    told = repr((check.kind, check.value, check.isolation, check.runtime, check.files))
    return hashlib.sha256(told.encode("utf-8", "backslashreplace")).digest()


def _name_files(specs: Sequence[JobSpec]) -> None:
    """Which files went along: what a link or a test carries off is never silent."""
    attached = dict.fromkeys(attachment.name for spec in specs for attachment in spec.attachments)
    checks = (check for spec in specs for check in spec.checks if isinstance(check.value, str))
    travelling = dict.fromkeys(name for check in checks for name in check.files if name != check.value)
    for title, names in (("attached", list(attached)), ("with the checks", list(travelling))):
        if names:
            more = f" and {len(names) - FILES_NAMED} more" if len(names) > FILES_NAMED else ""
            output.note(f"{title}: {', '.join(names[:FILES_NAMED])}{more}")


def _cloud(specs: Sequence[JobSpec], stored: Sequence[Egress], workers: Sequence[WorkerRow]) -> str:
    """One line: whether these jobs may ask the cloud, and why."""
    from tasks.store.fleet import WORKER_SILENCE_SECONDS

    free = stored.count(Egress.FULL)
    if not free and all(spec.egress not in (None, Egress.FULL) for spec in specs):
        named = ", ".join(sorted({str(spec.egress) for spec in specs}))
        return f"escalation is off for these jobs (egress: {named}): every word stays at home"
    if not free:
        return f"escalation is off, for no cloud is configured ({CLOUD_BY}): every word stays at home"
    live = [worker for worker in workers if worker.silent_seconds < WORKER_SILENCE_SECONDS]
    kept = f", {len(specs) - free} of {len(specs)} stay at home" if free < len(specs) else ""
    if any("cloud" in worker.lanes for worker in live):
        return f"escalation is on, for a worker serves the cloud; `--egress never` keeps a job at home{kept}"
    return f"escalation is on, for REDRAFT_EGRESS says so, as soon as a worker serves lane cloud{kept}"

"""`redraft hooks`: who is told of events, and whether they hear of them. For operators."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli import output

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str | None, typer.Argument(metavar="[HOOK]", help="Only this one, as `redraft hooks ls` names it.")]


@app.command()
def ls(as_json: output.Json = False) -> None:
    """List who is told of events, as the relay registered them, with what waits for each. --json: one object per line.

    Needs an operator's login: the local stack's own, or that of a worker as REDRAFT_DATABASE_URL.
    """
    import dataclasses

    from workers.addresses import worker_database_url
    from workers.cli.client import job_lines

    with job_lines(worker_database_url()) as lines:
        rows = lines.hooks()
    if as_json:
        for row in rows:
            output.emit_line({**dataclasses.asdict(row), "trouble": row.trouble})
        return
    if not rows:
        output.note("nobody is told of anything: REDRAFT_WEBHOOK_URLS or REDRAFT_HOOK_COMMAND, when the relay starts")
        return
    shown = [
        (
            row.name,
            str(row.delivered),
            str(row.waiting),
            str(row.given_up),
            f"{row.next_at:%Y-%m-%d %H:%M:%S}" if row.next_at else "-",
            row.trouble or "-",
        )
        for row in rows
    ]
    columns = ("hook", "told", "waiting", "given up", "next try", "trouble")
    output.table(columns, shown, right=("told", "waiting", "given up"))


@app.command("test")
def send_test(hook: Name = None, as_json: output.Json = False) -> None:
    """Send an event `hook.test` to the hooks that the settings name here, and print what each answers.

    Nothing is stored and nothing is tried again. Exits 1 if one did not take it.
    """
    import time
    import uuid
    from datetime import UTC, datetime

    from tasks.errors import InvalidInput, NotDelivered
    from tasks.settings import load_settings
    from workers.hooks.body import TEST, event_text
    from workers.hooks.configured import hooks_of

    hooks = hooks_of(load_settings())
    if not hooks:
        raise InvalidInput("hooks", "", "the settings name none: set REDRAFT_WEBHOOK_URLS or REDRAFT_HOOK_COMMAND")
    chosen = [one for one in hooks if hook in (None, one.name)]
    if not chosen:
        raise InvalidInput("HOOK", hook, f"one of {', '.join(one.name for one in hooks)}")
    event = {"id": f"evt_{uuid.uuid4().hex}", "type": TEST, "timestamp": datetime.now(UTC).isoformat(), "data": {}}
    failed = False
    for one in chosen:
        begun = time.monotonic()
        try:
            answer, delivered = one.send(str(event["id"]), event_text(event, "")), True
        except NotDelivered as error:
            answer, delivered, failed = str(error), False, True
        seconds = round(time.monotonic() - begun, 2)
        if as_json:
            output.emit_line({"hook": one.name, "delivered": delivered, "answer": answer, "seconds": seconds})
        else:
            output.line(f"{one.name}  {'ok' if delivered else 'failed'} in {seconds:.2f} s: {answer}")
    if failed:
        raise typer.Exit(1)


@app.command()
def retry(hook: Name = None, as_json: output.Json = False) -> None:
    """Send at once what waits or was given up, to one hook or to all.

    Needs an operator's login, as `ls` does.
    """
    from tasks.errors import InvalidInput
    from tasks.store import hooks
    from tasks.store.session import Database
    from workers.addresses import worker_database_url

    with Database(worker_database_url(), name="redraft cli", pool=1) as database:
        names = [row.name for row in hooks.hook_rows(database)]
        if hook is not None and hook not in names:
            raise InvalidInput("HOOK", hook, f"one of {', '.join(names)}" if names else "the relay has registered none")
        events = hooks.retry(database, hook)
    if as_json:
        output.emit({"events": events})
    else:
        output.note(f"{events} {'event is' if events == 1 else 'events are'} sent now; `redraft hooks ls` shows them")

"""`redraft up`."""

from __future__ import annotations

import signal
import threading
from typing import Annotated, Literal

import typer

from tasks.errors import InvalidInput
from tasks.settings import LEAST_CONTEXT_TOKENS, MOST_CONTEXT_TOKENS, Settings, load_settings
from tasks.types import Egress
from workers.cli.fetching import fetch_engine
from workers.cli.output import Json, emit, note
from workers.cli.status import warn
from workers.engine.record import read_record
from workers.engine.select import build_host, choose_for, hardware_for
from workers.home import Home
from workers.hooks.configured import hooks_of
from workers.http_client import public_url
from workers.local import stack as local
from workers.stackfile import StackFile, read

app = typer.Typer(rich_markup_mode=None)

EngineFlag = Annotated[
    Literal["vllm", "llama.cpp"] | None,
    typer.Option("--engine", help="Only this engine. Default: whichever is faster on this machine."),
]

ContextFlag = Annotated[
    int | None,
    typer.Option(
        "--context-tokens",
        min=LEAST_CONTEXT_TOKENS,
        max=MOST_CONTEXT_TOKENS,
        help="The context of the endpoint's model, where the server doesn't report it.",
    ),
]


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", help="Return as soon as the stack can take work.")] = False,
    model: Annotated[
        str,
        typer.Option("--model", help="A model or a profile (see `redraft engine probe`), or the endpoint's model."),
    ] = "",
    engine: EngineFlag = None,
    endpoint: Annotated[str, typer.Option("--endpoint", help="The URL of an OpenAI-compatible server to use.")] = "",
    context_tokens: ContextFlag = None,
    cloud: Annotated[
        bool, typer.Option("--cloud", help="Let jobs ask the cloud (REDRAFT_EGRESS=full). Needs an OpenAI key.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start the local stack and wait until it can take work. If it is running already, only its addresses are shown;
    what it was started with changes by `redraft down` and another `up`. Ports and passwords stay the same."""
    settings = load_settings()
    home = Home(root=settings.home)
    if cloud:
        if not settings.has_adviser:
            why = "needs an OpenAI key or another endpoint: set OPENAI_API_KEY, or REDRAFT_ADVISER_URL"
            raise InvalidInput("--cloud", True, why)
        settings = settings.model_copy(update={"egress": Egress.FULL})
    options = start_options(settings, model, endpoint, engine, context_tokens)
    options |= {"REDRAFT_EGRESS": str(Egress.FULL)} if cloud else {}
    stack = local.start(home, options, note, attached=not detach)
    _show(stack, as_json)
    warn(local.status(home))
    if detach:
        return
    if not local.is_ours(stack):
        note("the stack runs already and goes on; `redraft down` stops it")
        return
    note("Ctrl-C stops the stack")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(0.5) and local.status(home):
        pass
    local.stop(home)


def start_options(
    settings: Settings, model: str, endpoint: str, engine: str | None = None, context_tokens: int | None = None
) -> dict[str, str]:
    """Flags as settings of the stack's parts. Downloads what is missing for them, unless the stack runs already.

    Raises `InvalidInput` where this machine can't host what they name, and `PartFailed` where it has no room for it.
    """
    attached = bool(endpoint or settings.endpoint)
    if context_tokens and not attached:
        raise InvalidInput("--context-tokens", context_tokens, "only beside --endpoint: an engine of ours reports it")
    named = "endpoint_model" if attached else "model"
    flags = {named: model, "endpoint": endpoint, "engine": engine, "endpoint_context_tokens": context_tokens}
    options = {name: value for name, value in flags.items() if value}
    asked = settings.model_copy(update=options)
    running = read(settings.home)
    if running is not None:
        refuse_change(running, asked)
    else:
        hooks_of(asked)
        build_host(asked, note)
        if not asked.endpoint:
            fetch_engine(asked, choose_for(asked, hardware_for(asked)))
    return {f"REDRAFT_{name.upper()}": str(value) for name, value in options.items()}


def refuse_change(running: StackFile, asked: Settings) -> None:
    """Raises `InvalidInput` where the stack runs with something else than flags or settings name now, and says what to
    type: it never goes on in silence with the old."""
    record = read_record(Home(root=asked.home))
    profile, kind = (record.profile, record.engine) if record else ("", "")
    has = public_url(running.endpoint) if running.endpoint else "an engine of its own"
    for name, wanted, runs in (
        ("endpoint", public_url(asked.endpoint.rstrip("/")), (has.rstrip("/"),)),
        ("endpoint_model", asked.endpoint_model, (running.endpoint_model,)),
        ("context_tokens", str(asked.endpoint_context_tokens or ""), (str(running.endpoint_context_tokens),)),
        ("model", "" if asked.model == "auto" else asked.model, (profile, running.model)),
        ("engine", asked.engine, (kind, running.engine)),
        ("egress", "" if asked.egress is Egress.NEVER else str(asked.egress), (running.egress,)),
    ):
        if wanted and wanted not in runs:
            shown = next(filter(None, runs), "none")
            then = "`redraft down`, then the same command again; jobs keep their progress"
            raise InvalidInput(name, wanted, f"the stack that is running has {shown}: {then}")


def _show(stack: StackFile, as_json: bool) -> None:
    """The addresses; passwords stay in run/stack.json, but for Flower's, which a person must type."""
    postgres = stack.user_url.rsplit("@", 1)[1]
    if as_json:
        emit(
            {
                "postgres": postgres,
                "page": stack.ui_url,
                "flower": stack.flower_url,
                "flower_user": stack.flower_user,
                "flower_password": stack.flower_password,
            }
        )
        return
    note(f"postgres {postgres} (`redraft sql` queries it)")
    note(f"page     {stack.ui_url} (`redraft ui` prints a link that opens it)")
    note(f"flower   {stack.flower_url} (user {stack.flower_user}, password {stack.flower_password})")

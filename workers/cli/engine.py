"""`redraft engine pull | serve | probe`."""

from __future__ import annotations

import signal
import threading
from typing import Annotated, Any

import typer

from tasks.errors import PartFailed
from tasks.settings import Settings, load_settings
from tasks.types import Lane
from workers.background import BackgroundTasks
from workers.cli.output import Json, emit, note, table
from workers.engine.choice import Refusal, choose, fit
from workers.engine.environment import ensure_environment
from workers.engine.hardware import Hardware, detect, imagine, only
from workers.engine.profiles import Profile, load_profiles
from workers.engine.select import build_host
from workers.engine.weights import damaged, download_hub, ensure_weights, weights_folder

app = typer.Typer(help="Fetch, serve and probe the local model.", rich_markup_mode=None)
CARD = "Instead of this machine's cards: GIB:CAPABILITY, such as 15.9:12.0; repeat it for each card."
ProfileName = Annotated[str, typer.Argument(help="The name of a profile, or auto.")]


@app.command()
def pull(profile: ProfileName = "auto") -> None:
    """Build the engine's environment and download a profile's weights."""
    settings = load_settings()
    chosen = choose(profile, only(detect(), settings.gpus), load_profiles(settings.home)).profile
    python = ensure_environment(chosen.distribution, settings.cache, note)
    if chosen.weights.hub:
        download_hub(chosen, python, settings.cache, note)
    note(f"weights: {ensure_weights(chosen, settings.cache, python, note)}")


@app.command()
def serve(profile: ProfileName = "auto") -> None:
    """Serve a profile's model in the foreground until Ctrl-C."""
    settings = load_settings().model_copy(update={"model": profile, "endpoint": ""})
    stopped = threading.Event()

    def stop(*_: object) -> None:
        if stopped.is_set():
            return
        stopped.set()
        raise KeyboardInterrupt

    deaths = list[str]()

    def on_death(why: str) -> None:
        deaths.append(why)
        stopped.set()

    host = build_host(settings, note)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        with BackgroundTasks(on_death) as tasks:
            host.start()
            tasks.start("engine watch", host.watch)
            note(f"{host.model} at {host.url}; Ctrl-C stops it")
            stopped.wait()
    except KeyboardInterrupt:
        note("stopping")
    finally:
        host.stop()
    if deaths:
        raise PartFailed(deaths[0])


@app.command()
def probe(
    as_json: Json = False,
    deep: Annotated[bool, typer.Option("--deep", help="Check the hashes of all cached weights.")] = False,
    card: Annotated[list[str] | None, typer.Option("--card", help=CARD)] = None,
    lane: Annotated[Lane, typer.Option("--lane", help="The lane that `auto` chooses for: gpu or fast.")] = Lane.GPU,
) -> None:
    """Explain which profiles fit this machine, or one with other cards, and which one `auto` takes."""
    settings = load_settings()
    hardware = imagine(card) if card else only(detect(), settings.gpus)
    profiles = load_profiles(settings.home)
    chosen = choose("auto", hardware, profiles, lane)
    rows = [_row(profile, hardware, settings, deep=deep) for profile in profiles.values()]
    if as_json:
        emit({**_hardware(hardware), "chosen": chosen.profile.name, "why": chosen.why, "profiles": rows})
    else:
        note("; ".join(f"{gpu.memory_gib:.0f} GiB {gpu.name}" for gpu in hardware.gpus) or hardware.note)
        shown = [(r["profile"], r["engine"], "yes" if r["fits"] else "no", r["weights"], r["why"]) for r in rows]
        table(("profile", "engine", "fits", "weights", "why"), shown)
        note(f"auto takes {chosen.profile.name}: {chosen.why}")
    broken = [str(row["profile"]) for row in rows if row["weights"] == "damaged"]
    if broken:
        raise PartFailed(f"the cached weights of {', '.join(broken)} are damaged; remove them and pull again")


def _hardware(hardware: Hardware) -> dict[str, Any]:
    cards = [
        {"index": gpu.index, "name": gpu.name, "memory_gib": round(gpu.memory_gib, 2), "cc": gpu.compute_capability}
        for gpu in hardware.gpus
    ]
    return {
        "gpus": cards,
        "ram_gib": round(hardware.ram_gib, 2),
        "driver": hardware.driver or None,
        "note": hardware.note or None,
    }


def _row(profile: Profile, hardware: Hardware, settings: Settings, *, deep: bool) -> dict[str, Any]:
    placement = fit(profile, hardware)
    return {
        "profile": profile.name,
        "engine": profile.engine,
        "lanes": list(profile.lanes),
        "fits": not isinstance(placement, Refusal),
        "gpus": None if isinstance(placement, Refusal) else [gpu.index for gpu in placement.gpus],
        "max_num_seqs": None if isinstance(placement, Refusal) else placement.max_num_seqs,
        "weights": _weights(profile, settings, deep=deep),
        "why": placement.why,
    }


def _weights(profile: Profile, settings: Settings, *, deep: bool) -> str:
    if not profile.weights.converted:
        return profile.weights.hub or profile.weights.path
    folder = weights_folder(profile, settings.cache)
    if not folder.exists():
        return "not fetched"
    if not deep:
        return "cached"
    return "damaged" if damaged(folder) else "cached, checked"

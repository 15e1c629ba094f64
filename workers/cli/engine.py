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
from workers.cli.fetching import fetch_engine
from workers.cli.output import Json, emit, note, table
from workers.cli.stack import EngineFlag
from workers.engine.choice import EngineName
from workers.engine.cpu import NAMES
from workers.engine.hardware import Hardware, imagine
from workers.engine.placement import Choice, Refusal, fit
from workers.engine.profiles import Profile, load_profiles
from workers.engine.select import build_host, choose_for, hardware_for
from workers.engine.weights import damaged, weights_folder

app = typer.Typer(help="Fetch, serve and probe the local model.", rich_markup_mode=None)
CARD = "Instead of this machine's cards: GIB:CAPABILITY[:FREE], such as 15.9:12.0; repeat it for each card."
CPU = f"Instead of this machine's processor: KIND:CORES:GIB, such as avx2:8:16. Kinds: {', '.join(NAMES)}."
ModelName = Annotated[str, typer.Argument(help="The name of a model or of a profile, or auto.")]


@app.command()
def pull(profile: ModelName = "auto", engine: EngineFlag = None) -> None:
    """Build the engine's environment and download a model's weights."""
    settings = _settings(profile, engine)
    choice = choose_for(settings, hardware_for(settings))
    fetch_engine(settings, choice)
    note(f"{choice.profile.name} is complete in {settings.cache}")


@app.command()
def serve(profile: ModelName = "auto", engine: EngineFlag = None) -> None:
    """Serve a model in the foreground until Ctrl-C."""
    settings = _settings(profile, engine)
    fetch_engine(settings, choose_for(settings, hardware_for(settings)))
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
    cpu: Annotated[str, typer.Option("--cpu", help=CPU)] = "",
    engine: EngineFlag = None,
    lane: Annotated[Lane, typer.Option("--lane", help="The lane that `auto` chooses for: gpu or fast.")] = Lane.GPU,
) -> None:
    """Explain which profiles fit this machine, or an imagined one, and which engine and model it gets."""
    settings = _settings("auto", engine)
    hardware = imagine(card or (), cpu) if card or cpu else hardware_for(settings)
    profiles = load_profiles(settings.home)
    chosen = choose_for(settings, hardware, lane)
    rows = [_row(profile, hardware, settings, deep=deep) for profile in profiles.values()]
    if as_json:
        emit({**_hardware(hardware), **_chosen(chosen), "profiles": rows})
    else:
        note("; ".join(f"{gpu.memory_gib:.0f} GiB {gpu.name}" for gpu in hardware.gpus) or hardware.note)
        note(f"{hardware.cpu.words}; {hardware.ram_gib:.0f} GiB of memory")
        shown = [(r["profile"], r["engine"], "yes" if r["fits"] else "no", r["weights"], r["why"]) for r in rows]
        table(("profile", "engine", "fits", "weights", "why"), shown)
        note(f"auto takes {chosen.profile.name} by {chosen.profile.engine}: {chosen.why}")
        if chosen.gpus and chosen.profile.engine == "llama.cpp" and settings.llama_server is None:
            note("it takes a llama-server that can use these cards: REDRAFT_LLAMA_SERVER names it")
    broken = [str(row["profile"]) for row in rows if row["weights"] == "damaged"]
    if broken:
        raise PartFailed(f"the cached weights of {', '.join(broken)} are damaged; remove them and pull again")


def _settings(model: str, engine: EngineName | None) -> Settings:
    settings = load_settings()
    return settings.model_copy(update={"model": model, "endpoint": "", "engine": engine or settings.engine})


def _chosen(choice: Choice) -> dict[str, Any]:
    return {
        "chosen": choice.profile.name,
        "engine": choice.profile.engine,
        "threads": choice.threads or None,
        "slots": choice.max_num_seqs,
        "width": choice.profile.width,
        "context_tokens": choice.context_tokens or None,
        "tensor_split": list(choice.tensor_split),
        "why": choice.why,
    }


def _hardware(hardware: Hardware) -> dict[str, Any]:
    cards = [
        {"index": gpu.index, "name": gpu.name, "memory_gib": round(gpu.memory_gib, 2), "cc": gpu.compute_capability}
        for gpu in hardware.gpus
    ]
    return {
        "gpus": cards,
        "cpu": {
            "name": hardware.cpu.name,
            "cores": hardware.cpu.cores,
            "extensions": sorted(hardware.cpu.extensions),
            "bf16": hardware.cpu.has_bf16,
        },
        "ram_gib": round(hardware.ram_gib, 2),
        "driver": hardware.driver or None,
        "note": hardware.note or None,
    }


def _row(profile: Profile, hardware: Hardware, settings: Settings, *, deep: bool) -> dict[str, Any]:
    placement = fit(profile, hardware)
    return {
        "profile": profile.name,
        "model": profile.family or profile.name,
        "engine": profile.engine,
        "lanes": list(profile.lanes),
        "fits": not isinstance(placement, Refusal),
        "gpus": None if isinstance(placement, Refusal) else [gpu.index for gpu in placement.gpus],
        "max_num_seqs": None if isinstance(placement, Refusal) else placement.max_num_seqs,
        "threads": None if isinstance(placement, Refusal) else placement.threads or None,
        "weights": _weights(profile, settings, deep=deep),
        "why": placement.why,
    }


def _weights(profile: Profile, settings: Settings, *, deep: bool) -> str:
    if not profile.weights.converted and profile.engine != "llama.cpp":
        return profile.weights.hub or profile.weights.path
    folder = weights_folder(profile, settings.cache)
    if not folder.exists():
        return "not fetched"
    if not deep:
        return "cached"
    return "damaged" if damaged(folder, profile.weights.sha256) else "cached, checked"

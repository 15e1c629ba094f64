"""Settings → the host of this worker's model."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from tasks.errors import InvalidInput
from tasks.loop import ENGINE_LANES
from tasks.settings import Settings
from tasks.types import Lane
from workers.engine.attached import AttachedEndpoint
from workers.engine.backend import Backend
from workers.engine.building import Say
from workers.engine.choice import choose
from workers.engine.hardware import Hardware, detect, only
from workers.engine.host import ModelHost, NoEngine
from workers.engine.llamacpp import LlamaCpp
from workers.engine.offload import can_offload
from workers.engine.placement import Choice
from workers.engine.profiles import Profile, load_profiles
from workers.engine.record import EngineRecord, members, read_record
from workers.engine.server import EngineServer
from workers.engine.vllm import Vllm
from workers.home import Home

Look = Callable[[], Hardware]


def host_for(lanes: frozenset[Lane], settings: Settings, say: Say, look: Look | None = None) -> ModelHost:
    """The host for a worker's `lanes`: the small model if it serves lane `fast` alone, the large one if it serves both,
    and none if no lane needs a model. Raises `InvalidInput`."""
    if not lanes & ENGINE_LANES:
        return NoEngine()
    return build_host(settings, say, Lane.GPU if Lane.GPU in lanes else Lane.FAST, look)


def build_host(settings: Settings, say: Say, lane: Lane = Lane.GPU, look: Look | None = None) -> ModelHost:
    """The endpoint if one is configured, else an engine that Redraft starts for `lane`. Raises `InvalidInput`."""
    if settings.endpoint:
        return attach(settings)
    hardware = only(look(), settings.gpus) if look else hardware_for(settings)
    choice = choose_for(settings, hardware, lane)
    backend = backend_for(choice, settings)
    return EngineServer(choice, backend, home=Home(root=settings.home), cache=settings.cache, say=say)


def backend_for(choice: Choice, settings: Settings) -> Backend:
    """The chosen kind of engine, by the user's own program where one is configured. Raises `InvalidInput`."""
    if choice.profile.engine == "llama.cpp":
        return LlamaCpp(existing_program("llama_server", settings.llama_server, "`llama-server`"))
    return Vllm(existing_program("engine_bin", settings.engine_bin, "`vllm`"))


def is_installed(choice: Choice, settings: Settings) -> bool:
    """Whether the engine is a program of the user's own."""
    own = settings.llama_server if choice.profile.engine == "llama.cpp" else settings.engine_bin
    return own is not None


def hardware_for(settings: Settings) -> Hardware:
    """What an engine of these settings may use of this machine, as if the one that runs already were not there."""
    record = read_record(Home(root=settings.home))
    own = frozenset(process.pid for process in members(record.process)) if record else frozenset[int]()
    hardware = only(detect(own), settings.gpus)
    program = existing_program("llama_server", settings.llama_server, "`llama-server`")
    offload = bool(program and hardware.gpus and can_offload(program))
    return dataclasses.replace(hardware, offload=offload)


def running_engine(settings: Settings) -> tuple[EngineRecord, Profile] | None:
    """The engine of this home that runs now, and its profile; None where none does."""
    record = read_record(Home(root=settings.home))
    if record is None or not record.process.alive:
        return None
    profile = load_profiles(settings.home).get(record.profile)
    return (record, profile) if profile else None


def choose_for(settings: Settings, hardware: Hardware, lane: Lane = Lane.GPU) -> Choice:
    """What the settings ask for, on `hardware`. Raises `InvalidInput`."""
    return choose(settings.model, hardware, load_profiles(settings.home), lane, settings.engine)


def attach(settings: Settings) -> AttachedEndpoint:
    """The configured endpoint, used according to the profile `model` if it is set, else to the profile with the name of
    the served model, if there is one. Raises `InvalidInput`."""
    profiles, profile_name = load_profiles(settings.home), settings.model
    if profile_name != "auto" and profile_name not in profiles:
        raise InvalidInput("model", profile_name, f"known profiles are auto, {', '.join(sorted(profiles))}")
    if settings.engine:
        raise InvalidInput("engine", settings.engine, "none beside an endpoint, which is an engine that runs already")
    return AttachedEndpoint(
        settings.endpoint,
        model=settings.endpoint_model,
        key=settings.endpoint_key.get_secret_value(),
        modalities=settings.endpoint_modalities,
        context_tokens=settings.endpoint_context_tokens,
        serving=profiles.get(settings.endpoint_model if profile_name == "auto" else profile_name),
    )


def existing_program(setting: str, program: Path | None, what: str) -> Path | None:
    """The installed program to use, None where none is configured. Raises `InvalidInput`."""
    if program is not None and not (program.is_file() and os.access(program, os.X_OK)):
        raise InvalidInput(f"setting {setting}", str(program), f"the path of an executable {what}")
    return program

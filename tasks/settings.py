"""Every setting, with its reason. Flags beat `REDRAFT_*` variables, which beat `$REDRAFT_HOME/redraft.toml`,
which beats these defaults. The environment is read nowhere else.

A secret may lie in a file that `REDRAFT_<NAME>_FILE` names, as containers hand them in."""

from __future__ import annotations

import functools
import os
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tasks.errors import InvalidInput
from tasks.types import Egress, Modality


def default_home() -> Path:
    """The user's data folder, unless REDRAFT_HOME names another: two homes are two separate stacks."""
    named = os.environ.get("REDRAFT_HOME")
    return Path(named).expanduser().resolve() if named else platformdirs.user_data_path("redraft", appauthor=False)


# Larger than any key or address: another file was meant.
SECRET_BYTES = 8192


class _SecretFiles(PydanticBaseSettingsSource):
    """The content of each file that a `REDRAFT_<NAME>_FILE` names, for settings that are secrets."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The content of the field's file, None where none is named. Raises `InvalidInput`."""
        variable = f"REDRAFT_{field_name.upper()}_FILE"
        path = os.environ.get(variable, "") if field.annotation is SecretStr else ""
        return _secret(variable, path, field_name) if path else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Every secret that a file holds."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: secret for name, secret in found.items() if secret is not None}


def _secret(variable: str, path: str, name: str) -> str:
    plain = next((other for other in (f"REDRAFT_{name.upper()}", name.upper()) if os.environ.get(other)), None)
    if plain:
        raise InvalidInput(f"setting {variable}", path, f"{plain} is set too; give one of the two")
    try:
        with Path(path).open("rb") as file:
            secret = file.read(SECRET_BYTES + 1).decode().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidInput(
            f"setting {variable}", path, f"the path of a file that holds the secret ({reason})"
        ) from None
    if not 0 < len(secret) <= SECRET_BYTES or "\n" in secret:
        raise InvalidInput(f"setting {variable}", path, "the path of a file that holds one line, the secret")
    return secret


class Settings(BaseSettings):
    """Units are in the names. Empty URLs mean: what the local stack in `home` has written down."""

    model_config = SettingsConfigDict(env_prefix="REDRAFT_", extra="forbid", frozen=True)

    home: Path = Field(default_factory=default_home)
    # Downloads and the engine's environment: shared by all homes, rebuilt when missing.
    cache: Path = Field(default_factory=lambda: platformdirs.user_cache_path("redraft", appauthor=False))

    database_url: SecretStr = SecretStr("")
    broker_url: SecretStr = SecretStr("")

    # A Qdrant server: the memory of earlier jobs. With a database of its own and no memory, jobs run without one.
    memory_url: str = ""
    memory_key: SecretStr = SecretStr("")
    memory_collection: str = "redraft_lessons"

    # The model of the local stack: `auto` takes the best profile that the hardware can hold.
    model: str = "auto"
    # A `vllm` that is installed already (a container's): no environment of the engine's own is built then.
    engine_bin: Path | None = None
    # The cards that this worker's engine may take, by nvidia-smi's numbers: `0,1`. None: all; two workers on one
    # machine, one with the large model and one with the small, must not choose the same.
    gpus: Annotated[frozenset[int] | None, NoDecode] = None
    # An OpenAI-compatible server that already runs, instead of an engine of ours.
    endpoint: str = ""
    endpoint_model: str = ""
    endpoint_key: SecretStr = SecretStr("")
    # What its model takes, `text,image,audio`: no server says so. Jobs with other attachments are refused.
    endpoint_modalities: Annotated[frozenset[Modality], NoDecode] = frozenset({Modality.TEXT})

    # The lease is long enough for a stalled disk and short enough that a dead worker's job is taken up
    # again before anyone looks: design §1.
    lease_seconds: float = Field(default=15.0, gt=0)
    # A worker that ran a job's last iteration holds its KV prefix; others wait this long for it.
    affinity_seconds: float = Field(default=2.0, ge=0)
    # Fairness between owners in buckets: small enough to be fair within a night, large enough not to thrash.
    fairness_bucket_seconds: float = Field(default=600.0, gt=0)
    # A job that kills its worker this often, with no iteration recorded between, is quarantined.
    crash_cap: int = Field(default=3, ge=1)
    # Faults of services in a row before a job is `failed` instead of retried with backoff.
    fault_cap: int = Field(default=8, ge=1)
    # Turns in flight in one worker. 0: as many as the engine batches sequences, for each has one at least; eight where
    # an endpoint doesn't say, with all their drafts at once.
    slots: int = Field(default=0, ge=0)
    # Candidates drafted in parallel. 0: from the engine's profile (8 on a GPU, 2 on a CPU).
    width: int = Field(default=0, ge=0)
    # Silence allowed between two tokens, and before the first (a cold prefill of 64K tokens on slow cards).
    token_silence_seconds: float = Field(default=60.0, gt=0)
    first_token_seconds: float = Field(default=600.0, gt=0)
    # A step that announced no longer silence, and gives neither a token nor a verdict for so long, loses its lease: the
    # worker lives, but the step hangs.
    silence_seconds: float = Field(default=60.0, gt=0)
    # Whatever it announced: longer than a check may take (an hour), which is the longest honest silence.
    stall_seconds: float = Field(default=3900.0, gt=0)
    # A worker with a free slot that has heard no wake-up for so long looks for work itself. The relay sends one within
    # a second while there is any, so hundreds of idle workers cost a few queries a second.
    wakeup_silence_seconds: float = Field(default=15.0, gt=0)
    # A worker that leaves wake-ups lying in its queue for so long, though it has a free slot, has a dead subscription
    # (celery#10205, celery#10302): it ends, to be started again. A turn whose lease is gone may take as long to end.
    deaf_seconds: float = Field(default=60.0, gt=0)
    # Redis's, the same for every app on a broker, for the shortest wins. A wake-up is acknowledged on receipt, so
    # it bounds only how long a lost one lingers, and jobs may run for hours past it.
    visibility_timeout_seconds: int = Field(default=60, ge=1)
    # A turn's grace between TERM (or QUIT) and the hand-back of its lease: it stops at the first checkpoint, so only a
    # step that is longer than this is cut. Supervisors kill after 30 s or so; the engine must end within it, too.
    drain_seconds: float = Field(default=10.0, ge=0)

    # Rejected iterations before a job of lane fast goes on with the large model, and before the cloud is asked: two
    # fresh starts with three revisions each are twelve (design §4), of which most of the gain is early.
    move_up_after: int = Field(default=3, ge=1)
    escalate_after: int = Field(default=10, ge=1)

    # A key that lies in the environment for other tools sends nothing: the operator says here that text may leave, and
    # a worker with a key serves the cloud's lane only then. `redraft up --cloud` says so for its stack.
    egress: Egress = Egress.NEVER
    openai_api_key: SecretStr = Field(
        default=SecretStr(""), validation_alias=AliasChoices("openai_api_key", "OPENAI_API_KEY")
    )
    openai_base_url: str = Field(default="", validation_alias=AliasChoices("openai_base_url", "OPENAI_BASE_URL"))

    # For tests of durability: a worker, a relay or `db upgrade` dies (-9) there, `NAME` or `NAME:n` of
    # tasks/crashpoints.py.
    crash_at: str = ""
    # What the cloud is asked with. Reasoning counts as output: a hard problem's thoughts alone may be 20K tokens, and
    # 32K of them cost half a dollar of the default budget of two.
    cloud_model: str = "gpt-5.4"
    cloud_effort: Literal["none", "low", "medium", "high", "xhigh"] = "high"
    cloud_output_tokens: int = Field(default=32_768, ge=1024, le=128_000)
    # USD for a million tokens in, cached and out, of a model that the table of prices doesn't know.
    cloud_prices: tuple[Decimal, Decimal, Decimal] | None = None
    # Without it the cloud forgets a response about ten minutes after its end; a worker that is away for longer then
    # pays for an answer it can't fetch.
    cloud_store: bool = False
    # Silence before the first event, which brings the id: without one nobody knows what became of the request.
    cloud_first_event_seconds: float = Field(default=120.0, gt=0)
    # A response that has not ended by then is cancelled.
    cloud_answer_seconds: float = Field(default=3600.0, gt=0)
    # Turns in a row that fail to reach the cloud, or to fetch its answer, before the job goes on without it.
    cloud_fault_cap: int = Field(default=5, ge=1)

    flower_password: SecretStr = SecretStr("")
    # Names under which Flower may be called beside loopback's, `flower.example.org`: for a proxy in front of it.
    flower_hosts: Annotated[frozenset[str], NoDecode] = frozenset()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def secrets(self) -> frozenset[str]:
        """The values that no log, event or message may show: keys, passwords, and addresses that hold one."""
        values = (getattr(self, name) for name in type(self).model_fields)
        return secrets_in(*(value.get_secret_value() for value in values if isinstance(value, SecretStr)))

    @field_validator("egress")
    @classmethod
    def _sends_something(cls, egress: Egress) -> Egress:
        if egress is Egress.HINT:
            raise ValueError("one of never, full; hints from the cloud are not built yet")
        return egress

    @field_validator("gpus", mode="before")
    @classmethod
    def _numbered(cls, given: Any) -> Any:
        """Text out of the environment is a list with commas, empty text is no choice."""
        return (
            ([part.strip() for part in given.split(",")] if given.strip() else None)
            if isinstance(given, str)
            else given
        )

    @field_validator("flower_hosts", mode="before")
    @classmethod
    def _split(cls, written: Any) -> Any:
        """Text out of the environment is a list with commas."""
        return [part.strip() for part in written.split(",") if part.strip()] if isinstance(written, str) else written

    @field_validator("endpoint_modalities", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        """Text out of the environment is a list with commas; text itself is always taken."""
        names = [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given
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
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"setting {name}", first.get("input"), first["msg"].removeprefix("Value error, ")) from None


def hub_cache() -> Path:
    """Where the hub's own libraries keep what they download, the engine's among them."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")


# Never handed to a part that has no use for them: whoever may look into Flower's process sees its environment.
_KEYS = ("OPENAI_API_KEY", "REDRAFT_OPENAI_API_KEY", "REDRAFT_ENDPOINT_KEY")
SECRETS = (*_KEYS, *(f"{key}_FILE" for key in _KEYS))


def child_environment(home: Path, *, secrets: bool = False) -> dict[str, str]:
    """The environment of a part of the local stack: ours with the home it belongs to, and without the keys of
    models unless it needs `secrets`."""
    kept = {name: value for name, value in os.environ.items() if secrets or name not in SECRETS}
    return {**kept, "REDRAFT_HOME": str(home)}

"""Where the home is, and which database is configured: the two settings that every command needs; and what the parts
of a stack are given of the environment. They are read here without the other settings, whose library takes longer to
import than a list of jobs takes to read.

`settings` uses what is here, so the two can't differ. The environment is read in these two modules only.
"""

from __future__ import annotations

import os
from pathlib import Path

from tasks.errors import InvalidInput

# Larger than any key or address: a larger file is the wrong one.
SECRET_BYTES = 8192


def default_home() -> Path:
    """The user's data folder, unless REDRAFT_HOME names another: two homes are two separate stacks."""
    path = os.environ.get("REDRAFT_HOME")
    if path:
        return Path(path).expanduser().resolve()
    import platformdirs

    return platformdirs.user_data_path("redraft", appauthor=False)


def configured_database() -> str:
    """The address that REDRAFT_DATABASE_URL, the file that REDRAFT_DATABASE_URL_FILE names, or `redraft.toml` in the
    home gives; empty where none does, which means the local stack's. Raises `InvalidInput`."""
    given = next((value for name, value in os.environ.items() if name.upper() == "REDRAFT_DATABASE_URL"), None)
    if given:
        return given
    file = os.environ.get("REDRAFT_DATABASE_URL_FILE")
    if file:
        return read_secret("REDRAFT_DATABASE_URL_FILE", file, "database_url")
    return "" if given is not None else _of_toml("database_url")


def read_secret(variable: str, path: str, name: str) -> str:
    """The one line of the file at `path`, which `variable` names for the setting `name`. Raises `InvalidInput`."""
    plain = next((other for other in (f"REDRAFT_{name.upper()}", name.upper()) if os.environ.get(other)), None)
    if plain:
        raise InvalidInput(f"setting {variable}", path, f"{plain} is set too; give one of the two")
    try:
        with Path(path).open("rb") as file:
            secret = file.read(SECRET_BYTES + 1).decode().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(
            f"setting {variable}", path, f"the path of a file that holds the secret ({reason})"
        ) from None
    if not 0 < len(secret) <= SECRET_BYTES or "\n" in secret:
        raise InvalidInput(f"setting {variable}", path, "the path of a file that holds one line, the secret")
    return secret


def _of_toml(name: str) -> str:
    path = default_home() / "redraft.toml"
    if not path.is_file():
        return ""
    import tomllib

    try:
        value = tomllib.loads(path.read_text(encoding="utf-8")).get(name, "")
    except ValueError as error:
        raise InvalidInput("settings", str(path), f"it must be TOML: {error}") from None
    if not isinstance(value, str):
        raise InvalidInput(f"setting {name}", value, f"text, in {path}")
    return value


# Never passed to a part that doesn't need them: whoever can inspect Flower's process sees its environment.
_KEYS = ("OPENAI_API_KEY", "REDRAFT_OPENAI_API_KEY", "REDRAFT_ENDPOINT_KEY", "REDRAFT_ADVISER_KEY")
SECRETS = (*_KEYS, *(f"{key}_FILE" for key in _KEYS))
_OF_HOOKS = ("REDRAFT_WEBHOOK_URLS", "REDRAFT_WEBHOOK_SECRET")
HOOK_SECRETS = (*_OF_HOOKS, *(f"{name}_FILE" for name in _OF_HOOKS))


def child_environment(home: Path, *, secrets: bool = False, hooks: bool = False) -> dict[str, str]:
    """The environment of a part of the local stack: this process's environment with the part's home, without the keys
    of models unless it needs `secrets`, and without what only who tells `hooks` needs."""
    left_out = {*(() if secrets else SECRETS), *(() if hooks else HOOK_SECRETS)}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "REDRAFT_HOME": str(home)}

"""The folders of one local stack, and files in them that only their owner may read. Two homes are two separate stacks.
Must not know what the files hold."""

from __future__ import annotations

import hashlib
import os
import pwd
import socket
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import InvalidInput

# Postgres refuses to run as root, and initdb requires a user with a name.
UNPRIVILEGED_USER = "nobody"
# Where root keeps files that an unprivileged user must be able to reach, since the home itself may be unreachable.
SYSTEM_FOLDER = Path("/var/lib/redraft")


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The stack writes everything below `root`, except files that an unprivileged user could not reach there."""

    root: Path

    @property
    def run(self) -> Path:
        """Addresses, credentials and process records: readable by the owner only."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """The logs, one for each part."""
        return self.root / "log"

    def make(self) -> None:
        """Creates the folders, private to their owner. Raises `InvalidInput` where the home can't be one."""
        try:
            for folder in (self.root, self.run, self.log):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            allowed = f"a folder that can be written ({error.strerror})"
            raise InvalidInput("setting home", str(self.root), allowed) from None

    def postgres_folder(self) -> Path:
        """The folder of Postgres's data and binaries: in the home, or, for root, where `nobody` can reach them."""
        if os.geteuid() != 0:
            return self.root / "postgres"
        name = hashlib.sha256(str(self.root.resolve()).encode()).hexdigest()[:16]
        return SYSTEM_FOLDER / name / "postgres"


def unprivileged_ids() -> tuple[int, int] | None:
    """The uid and gid of services if we are root; None for an ordinary user."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(UNPRIVILEGED_USER)
    return entry.pw_uid, entry.pw_gid


def free_port() -> int:
    """A free loopback port. Another process may take it before its use, so callers must retry."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_private(path: Path, text: str) -> None:
    """Replaces a file in one step, readable by its owner only."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)

"""Programs for the sandbox and their results. Must not know how they are confined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxJob:
    """A program to run in the sandbox. `argv` runs in the job's folder, which holds `files`; `report_fd` asks for a
    pipe of that number, whose content comes back as `report`; `runtime` names packages that Python finds there beside
    its own; one that is `exclusive` runs alone among the sandbox's programs on its machine; `exchange` asks for a
    folder that joined jobs share, in which their temporary files lie.

    A job that is `servable` runs `tasks.validators.inside.serve`: a sandbox may keep its program waiting, with
    everything imported, and fork it for each of several orders on standard input.
    """

    argv: tuple[str, ...]
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    stdin: bytes = b""
    timeout_seconds: float = 10.0
    memory_mb: int = 512
    processes: int = 64
    output_bytes: int = 64 * 1024
    report_fd: int | None = None
    exchange: bool = False
    runtime: str = ""
    servable: bool = False
    exclusive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxResult:
    """The result of a program. `killed` is None, or the limit that ended it: wall, cpu, memory, processes, files,
    output."""

    exit_code: int
    stdout: str
    stderr: str
    seconds: float
    killed: str | None = None
    report: bytes = b""


# Descriptors of two joined jobs: reading and writing in turn, for each of eight threads that may call at once.
JOINED = tuple(range(12, 28))

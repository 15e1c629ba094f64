"""What differs between kinds of engine: how one is installed, commanded and read. Knows no processes and no health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tasks.llm.capabilities import Capabilities
from workers.engine.building import Say
from workers.engine.load import EngineLoad
from workers.engine.placement import Choice
from workers.engine.prefill import PromptSlots
from workers.home import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What a command line starts with: the program with its own first arguments, and the model's path or id."""

    program: tuple[str, ...]
    model: str

    @property
    def folder(self) -> Path:
        """Where the program's environment has its other programs."""
        return Path(self.program[0]).parent


class Backend(Protocol):
    """One kind of engine."""

    capabilities: Capabilities

    def prepare(self, choice: Choice, cache: Path, say: Say) -> Installation:
        """Installs the engine and fetches the weights where either is missing. Raises `PartFailed`."""

    def flags(self, choice: Choice) -> Sequence[str]:
        """The flags besides the model and the address; the profile's own come last."""

    def command(self, choice: Choice, installation: Installation, port: int) -> list[str]:
        """The whole command line, loopback only."""

    def environment(self, choice: Choice) -> Mapping[str, str]:
        """What its process finds in its environment besides the user's."""

    def version(self, root: str) -> str:
        """The version of the running server at `root`; empty where it doesn't say. Raises `EngineFault`."""

    def attention(self, choice: Choice, log: str) -> str:
        """The attention kernels that its log names, or that its flags ask for; empty where nothing says so."""

    def slots(self, choice: Choice, root: str, home: Home) -> PromptSlots | None:
        """Those of the server at `root`; None where its sequences share a prefix by themselves."""

    def load(self, choice: Choice, root: str) -> EngineLoad | None:
        """What the server at `root` reports of its load; None where it doesn't answer."""

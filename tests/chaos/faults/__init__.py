"""All faults: importing this fills the registry."""

from tests.chaos.faults import database, deployments, engines, messages, processes
from tests.chaos.faults.registry import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "database", "deployments", "engines", "messages", "processes"]

"""The rules of a submission as this installation has them: its plug-ins, its settings, and what this machine can try.

The one place that brings `tasks.submit` and the plug-ins together. Must not know the database.
"""

from __future__ import annotations

import dataclasses
from importlib.metadata import entry_points

from tasks.settings import Settings
from tasks.submit import Rules
from tasks.types import Egress


def installed_rules(settings: Settings, *, dry_runs: bool = False) -> Rules:
    """The checks and strategies that are installed, and the egress that is set.

    With `dry_runs`, checks are tried in this machine's sandbox, and their runtimes must be on this machine; with a
    database that is configured the workers may be on other machines, and any runtime is taken.
    """
    from tasks.validators import registry
    from tasks.validators.packages import NamedRuntimes
    from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
    from tasks.validators.toolchains import available

    strategies = sorted({entry.name for entry in entry_points(group="redraft.strategies")})
    rules = Rules(validators=registry, strategies=tuple(strategies), egress=configured_egress(settings))
    if not dry_runs:
        return rules
    folder = default_runtime_folder(settings.cache)
    elsewhere = bool(settings.database_url.get_secret_value())
    runtimes = None if elsewhere else (*NamedRuntimes(folder).names(), *available())
    return dataclasses.replace(rules, runtimes=runtimes, sandbox=BubblewrapSandbox(folder))


def configured_egress(settings: Settings) -> Egress | None:
    """The egress of jobs that name none; None where this installation leaves that to the deployment's workers."""
    return settings.egress if "egress" in settings.model_fields_set else None

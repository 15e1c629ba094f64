"""A folder of job files as a set: a job's held-out checks are its scoring checks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tasks.errors import InvalidInput
from tasks.installed import installed_rules
from tasks.policy import JUDGES
from tasks.settings import load_settings
from tasks.sources import check_sources
from tasks.submit import no_progress
from workers.bench.tasks import Task, TaskSet


def folder(path: Path) -> TaskSet:
    """The job files (`*.md`) of a folder, by name. Raises `InvalidInput` for one that a bench can't score."""
    files = sorted(path.glob("*.md"))
    if not files:
        raise InvalidInput("SET", str(path), "a folder with at least one job file, NAME.md")
    rules = dataclasses.replace(installed_rules(load_settings()), sandbox=None)
    tasks = []
    for file in files:
        (spec,) = check_sources(file, path, rules, no_progress).specs
        scoring = tuple(check for check in spec.checks if check.held_out)
        visible = tuple(check for check in spec.checks if not check.held_out)
        if not scoring or not visible or spec.attachments or any(check.kind in JUDGES for check in spec.checks):
            allowed = "a job with a visible and a held-out check, without judges and attachments"
            raise InvalidInput("SET", str(file), allowed)
        spec = dataclasses.replace(spec, checks=visible, memory=False, key=None, tags=("bench",))
        tasks.append(Task(name=file.stem, spec=spec, scoring=scoring))
    return TaskSet(name=path.resolve().name, tasks=tuple(tasks))

"""New checks of a job that is stored, under the rules of a submission. Must not know the database."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import InvalidInput
from tasks.jobchecks import CHECKS, build_checks, without_checks
from tasks.jobfields import refuse_unstorable
from tasks.submit import Rules, Submission, refuse_unheard, tried
from tasks.types import CheckSpec, JobSpec


def edited_checks(
    spec: JobSpec,
    checks: Sequence[CheckSpec],
    written: Sequence[Mapping[str, Any]],
    dropped: Sequence[str],
    folder: Path,
    rules: Rules,
) -> tuple[tuple[CheckSpec, ...], tuple[str, ...]]:
    """The `checks` of a job without those of the names `dropped`, and with those that are `written` (relative paths
    start at `folder`) in the place of those of the same name, or after all others. The new ones are tried as at a
    submission.

    Returns them with lines for the person who changes them. Raises `InvalidInput`.
    """
    names = [check.name for check in checks]
    for name in dropped:
        if name not in names:
            raise InvalidInput("--drop-check", name, f"one of {', '.join(names)}")
    refuse_unstorable({"checks": list(written)})
    built = build_checks(written, folder, rules.validators, spec.files) if written else ()
    new = {check.name: check for check in built}
    kept = [new.get(check.name, check) for check in checks if check.name not in dropped or check.name in new]
    whole = (*kept, *(check for name, check in new.items() if name not in names))
    if not 1 <= len(whole) <= CHECKS:
        raise InvalidInput("checks", f"{len(whole)} checks", f"from 1 to {CHECKS}; one at least decides acceptance")
    refuse_unheard(whole)
    if without_checks(spec.files, tuple(new.values())) != spec.files:
        raise InvalidInput("--check", ", ".join(new), "none of the files that the job's answers write or are shown")
    trial = dataclasses.replace(spec, checks=tuple(new.values()))
    notes = tried(Submission(specs=(trial,), origins=("edit",), contents={}), rules, lambda done, total: None).notes
    return whole, notes

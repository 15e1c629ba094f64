"""What is tried of checks before a job is stored: their runtimes, and a dry run in the sandbox.

Must not know the database, nor any kind of check by name: kinds come from a `ValidatorSource`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from tasks.errors import InvalidInput, SandboxUnavailable
from tasks.faults import Faults
from tasks.heartbeat import SilentHeartbeat
from tasks.jobchecks import ValidatorSource
from tasks.ports import DryRun, Sandbox
from tasks.types import CheckSpec
from tasks.validators.toolchains import TOOLCHAINS

CHECKS_TRIED = 50  # a quarter of a second each
# A check, and where it is written: `p.md: checks[0]`.
Located = tuple[str, CheckSpec]


def check_runtimes(checks: Iterable[Located], known: Sequence[str]) -> None:
    """Raises `InvalidInput` for the checks whose runtime is not among the `known` ones."""
    faults = Faults()
    for where, check in checks:
        if check.runtime and check.runtime not in known:
            allowed = f"runtimes here are {', '.join(known)}; `redraft sandbox add NAME PACKAGE...` builds one"
            if check.runtime in TOOLCHAINS:
                toolchain = TOOLCHAINS[check.runtime]
                allowed = f"{toolchain.program} on this machine: {toolchain.advice}"
            faults.add(InvalidInput(f"{where}.runtime", check.runtime, allowed))
    faults.refuse()


def try_checks(
    checks: Iterable[Located],
    validators: ValidatorSource,
    sandbox: Sandbox,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    most: int = CHECKS_TRIED,
) -> str:
    """Tries each distinct check that has a dry run, `most` of them. Returns a line about those not tried, if any.

    `progress` is called with how many of how many are done. Raises `InvalidInput`.
    """
    trials, faults = _distinct(checks, validators), Faults()
    for done, (where, check, kind) in enumerate(trials[:most], start=1):
        try:
            kind.dry_run(check, sandbox, SilentHeartbeat())
        except SandboxUnavailable as error:
            return f"no tests were loaded before storing: {error}"
        except InvalidInput as error:
            faults.add(InvalidInput(f"{where}.{error.field}", error.value, error.allowed))
        progress(done, min(len(trials), most))
    faults.refuse()
    if len(trials) > most:
        return f"the tests of {most} checks were loaded, those of {len(trials) - most} were not"
    return ""


def _distinct(checks: Iterable[Located], validators: ValidatorSource) -> list[tuple[str, CheckSpec, DryRun]]:
    trials: dict[bytes, tuple[str, CheckSpec, DryRun]] = {}
    for where, check in checks:
        kind = validators.find(check.kind)
        if isinstance(kind, DryRun):
            trials[_fingerprint(check)] = where, check, kind
    return list(trials.values())


def _fingerprint(check: CheckSpec) -> bytes:
    """The same for checks that a dry run can't tell apart; short, as the files of ten thousand jobs are not."""
    text = repr((check.kind, check.value, check.isolation, check.runtime, check.files))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).digest()

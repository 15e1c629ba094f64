"""Finds the validators by their entry points, runs a job's checks in order, and combines the verdicts.

Must not know any validator by name: plug-ins are found in the same way as Redraft's own validators.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from tasks.errors import InvalidInput, MalformedJob, PluginUnavailable, RedraftError
from tasks.ports import CheckKind, Examiner, Heartbeat, Observer, Sandbox, Validator
from tasks.types import CheckSpec, Verdict

GROUP = "redraft.validators"


class BrokenPlugin(RedraftError):
    """A validator is installed but cannot be used."""

    def __init__(self, entry: EntryPoint, reason: str) -> None:
        origin = entry.dist.name if entry.dist else "an unknown distribution"
        self.why = f"{reason} ({entry.value}, of {origin})"
        super().__init__(f"the validator {entry.name!r} ({entry.value}, of {origin}) cannot be loaded: {reason}")


@functools.cache  # a search through all installed distributions takes 3 ms, for each check of ten thousand jobs
def kinds() -> tuple[str, ...]:
    """The kinds of checks, sorted."""
    return tuple(sorted(entry_points(group=GROUP).names))


@functools.cache
def find(kind: str) -> CheckKind:
    """The plug-in of `kind`. Raises `InvalidInput` where there is none, `BrokenPlugin` where it fails to load."""
    entries = tuple(entry_points(group=GROUP, name=kind))
    if not entries:
        raise InvalidInput("kind", kind, f"kinds of checks are {', '.join(kinds())}")
    return load(entries[0])


def load(entry: EntryPoint) -> CheckKind:
    """The kind of check behind one entry point. Raises `BrokenPlugin`."""
    try:
        plugin = entry.load()()
    except (Exception, SystemExit) as error:  # a module may raise anything while it is imported
        raise BrokenPlugin(entry, f"{type(error).__name__}: {error}") from error
    if getattr(plugin, "kind", None) != entry.name:
        raise BrokenPlugin(entry, f"its kind is {getattr(plugin, 'kind', None)!r}, not its entry point's name")
    if not isinstance(plugin, CheckKind):
        raise BrokenPlugin(entry, "it is no kind of check: `kind`, `cost` and `parse` are needed")
    return plugin


def broken() -> dict[str, str]:
    """The kinds of checks that are installed and can't be loaded, each with why."""
    failures: dict[str, str] = {}
    for kind in kinds():
        try:
            find(kind)
        except BrokenPlugin as error:
            failures[kind] = error.why
    return failures


def validate(
    candidate: str, checks: Sequence[CheckSpec], sandbox: Sandbox, heartbeat: Heartbeat
) -> tuple[Verdict, ...]:
    """Runs the visible checks, cheap ones first, and the held-out ones only where every visible one passed. A kind with
    `needs_valid` is not run on what another check has refused.

    All `checks` must have a program, not a judge. Raises `ServiceFault`s and what `heartbeat` raises; a check that did
    not run has no verdict.
    """
    ordered = sorted(checks, key=lambda check: find(check.kind).cost)
    visible = _run(candidate, [check for check in ordered if not check.held_out], sandbox, heartbeat)
    if not all(verdict.passed for verdict in visible):
        return visible
    return visible + _run(candidate, [check for check in ordered if check.held_out], sandbox, heartbeat)


def behaviour(
    candidate: str, checks: Sequence[CheckSpec], inputs: Sequence[str], sandbox: Sandbox, heartbeat: Heartbeat
) -> str | None:
    """What the first visible check that can tell what the candidate does says of it, the most thorough kind first; None
    where none can. Raises as `validate` does."""
    for check in sorted(checks, key=lambda check: find(check.kind).cost, reverse=True):
        kind = find(check.kind)
        if isinstance(kind, Observer) and not check.held_out:
            return kind.behaviour(candidate, check, inputs, sandbox, heartbeat)
    return None


def examine(checks: Sequence[CheckSpec]) -> None:
    """Looks at stored checks that `redraft submit` may never have seen, or one with other plug-ins did.

    Raises `PluginUnavailable` where this worker lacks a kind of check, `MalformedJob` where no worker could ever decide
    one of them.
    """
    for number, check in enumerate(checks):
        kind = _installed(check.kind)
        try:
            if isinstance(kind, Examiner):
                kind.examine(check)
        except InvalidInput as error:
            raise MalformedJob(f"checks[{number}].{error}") from error
        except (LookupError, ValueError, TypeError, SyntaxError) as error:
            line = f"checks[{number}]: what is stored can't be read ({type(error).__name__}: {error})"
            raise MalformedJob(line) from error


def _installed(kind: str) -> CheckKind:
    if kind not in kinds():
        raise PluginUnavailable("check", kind)
    try:
        return find(kind)
    except BrokenPlugin as error:
        raise PluginUnavailable("check", kind, error.why) from error


def score(verdicts: Sequence[Verdict], checks: Sequence[CheckSpec]) -> float:
    """The mean over all the job's checks, in [0, 1]: a visible check's score, 0 or 1 for a held-out one (a finer score
    would reveal something of it to the search), and 0 for a check that did not run."""
    if not checks:
        return 0.0
    by_check = {verdict.check: verdict for verdict in verdicts}
    return sum(_score_of(by_check.get(check.name), check) for check in checks) / len(checks)


def accepted(verdicts: Sequence[Verdict], checks: Sequence[CheckSpec]) -> bool:
    """Whether every check of the job ran and passed. A job without checks accepts nothing."""
    passed = {verdict.check for verdict in verdicts if verdict.passed}
    failed = {verdict.check for verdict in verdicts if not verdict.passed}
    return bool(checks) and not failed and all(check.name in passed for check in checks)


def _run(candidate: str, checks: Sequence[CheckSpec], sandbox: Sandbox, heartbeat: Heartbeat) -> tuple[Verdict, ...]:
    verdicts: list[Verdict] = []
    for check in checks:
        heartbeat.check()
        program = _program(check.kind)
        if getattr(program, "needs_valid", False) and not all(verdict.passed for verdict in verdicts):
            continue
        verdicts.append(program.validate(candidate, check, sandbox, heartbeat))
        heartbeat.beat()
    return tuple(verdicts)


def _program(kind: str) -> Validator:
    plugin = _installed(kind)
    if not isinstance(plugin, Validator):
        raise PluginUnavailable("check", kind, "it has no `validate`")
    return plugin


def _score_of(verdict: Verdict | None, check: CheckSpec) -> float:
    if verdict is None:
        return 0.0
    if check.held_out:
        return 1.0 if verdict.passed else 0.0
    return min(1.0, max(0.0, verdict.score))

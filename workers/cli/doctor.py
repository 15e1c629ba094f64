"""`redraft doctor`: checks everything that Redraft needs and says what to do. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import machine, output, providers, services
from workers.cli.findings import Finding

if TYPE_CHECKING:
    from tasks.settings import Settings

app = typer.Typer()


@app.command()
def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Also check the invariants of all stored jobs.")] = False,
    as_json: output.Json = False,
) -> None:
    """Check everything that Redraft needs, and say what to do. Exits 1 if something indispensable is missing."""
    from tasks.settings import load_settings

    findings = []
    for finding in examine(load_settings(), deep=deep):
        findings.append(finding)
        if not as_json:
            advice = f" → {finding.advice}" if finding.advice else ""
            output.line(f"{finding.outcome:<4}  {finding.name:<9} {finding.detail}{advice}")
    if as_json:
        output.emit({"checks": [asdict(finding) for finding in findings]})
    if any(finding.outcome == "fail" for finding in findings):
        raise typer.Exit(1)


def examine(settings: Settings, *, deep: bool = False) -> Iterator[Finding]:
    """Every check, one after the other; a `deep` one reads every row."""
    checks: tuple[tuple[str, Callable[[Settings], Finding | None]], ...] = (
        ("python", machine.python),
        ("home", machine.home),
        ("disk", machine.disk),
        ("sandbox", machine.sandbox),
        ("runtimes", machine.runtimes),
        ("compilers", machine.toolchains),
        ("plugins", machine.plugins),
        ("gpu", machine.gpu),
        ("stack", services.stack),
        ("postgres", services.postgres),
        ("broker", services.broker),
        ("worker", services.worker),
        ("relay", services.relay),
        ("engine", services.engine),
        ("memory", services.memory),
        ("cloud", services.cloud),
        ("hooks", services.hooks),
    )
    for name, check in checks:
        finding = _guarded(name, check, settings)
        if finding is not None:
            yield finding
    yield from providers.findings()
    if deep:
        yield from services.promises(settings)


def _guarded(name: str, check: Callable[[Settings], Finding | None], settings: Settings) -> Finding | None:
    from tasks.errors import RedraftError

    try:
        return check(settings)
    except RedraftError as error:
        return Finding(name=name, outcome="fail", detail=" ".join(str(error).split("\n")))

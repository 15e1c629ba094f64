"""The check `score: …`: an evaluator of the user's measures the candidate in the sandbox, and prints the score. What
its number means for the job is decided elsewhere.

The evaluator is trusted: the candidate is data to it, and it must itself keep a candidate that it runs as code from
printing in its place. Must not know how the sandbox confines.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from tasks.errors import InvalidInput
from tasks.ports import Heartbeat, Sandbox
from tasks.types import CheckSpec, FileSet, SandboxResult, Verdict
from tasks.validators.arguments import (
    CANDIDATE_CHARS,
    NO_FILES,
    NOT_STARTED,
    TOO_LONG,
    examine_program,
    job_of,
    read_program,
)
from tasks.validators.ending import ended
from tasks.validators.measurement import LARGEST, Measurement, Unreadable, read
from tasks.validators.text import clipped, printable
from tasks.validators.verdicts import verdict_of

SUPPORT = "redraft_evaluation.py"
GOALS = ("maximise", "minimise")
CORES = ("shared", "exclusive")
REPEATS = 100
STAGES = 10
LINE_CHARS = 300
OPTIONS = {
    "goal": "maximise or minimise",
    "target": "a number",
    "plateau": "an object with `iterations`, a whole number from 1, and where wanted `improvement`, a number from 0",
    "repeats": f"a whole number from 1 to {REPEATS}",
    "noise": "a number from 0",
    "cores": "shared or exclusive",
    "stages": f"a list of at most {STAGES} objects with `command` and either `at_least` or `at_most`, a number",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A run of one evaluator: its measurement, or why there is none."""

    seconds: float
    measured: Measurement | None = None
    fault: str = ""


class ScoreValidator:
    """An evaluator, whose value is the verdict's; it passes the valid. Score: 1, or the share of stages passed."""

    kind: ClassVar[str] = "score"
    cost: ClassVar[int] = 20
    takes_runtime: ClassVar[bool] = True
    needs_valid: ClassVar[bool] = True
    options: ClassVar[Mapping[str, str]] = OPTIONS

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str | bytes]]:
        """The evaluator's arguments, the stages before it and the options, and the files of all programs. `value` holds
        the evaluator under `score`, and the options. Raises `InvalidInput`."""
        return self.parse_beside(value, folder, NO_FILES)

    def parse_beside(self, value: Any, folder: Path | None, files: FileSet) -> tuple[Any, Mapping[str, str | bytes]]:
        """As `parse`. A file of the job may be no argument unless it is the program, or read-only."""
        argv, contents = read_program(self.kind, value[self.kind], folder, files)
        stages = []
        for number, stage in enumerate(_stages(value.get("stages"))):
            command, more = read_program(f"stages[{number}].command", stage["command"], folder, files)
            stages.append({**stage, "command": command})
            contents |= more
        options = {name: value[name] for name in OPTIONS if name in value}
        stored = {
            "goal": GOALS[0],
            "repeats": 1,
            "noise": 0.0,
            "cores": CORES[0],
            **options,
            "command": argv,
            "stages": stages,
        }
        _examine_options(stored)
        return stored, contents

    def examine(self, check: CheckSpec) -> None:
        """Raises `InvalidInput` where an option has no meaning or a first argument is no program."""
        if not isinstance(check.value, Mapping):
            raise InvalidInput("", check.value, "an object")
        _examine_options(check.value)
        examine_program("command", check.value.get("command"))
        for number, stage in enumerate(_stages(check.value.get("stages"))):
            examine_program(f"stages[{number}].command", stage["command"])

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Verdict:
        """Raises only `ServiceFault`s and what `heartbeat` raises."""
        if len(candidate) > CANDIDATE_CHARS:
            return verdict_of(check, feedback=TOO_LONG)
        stages, seconds = check.value["stages"], 0.0
        for number, stage in enumerate(stages):
            run = _run(stage["command"], candidate, check, sandbox, heartbeat)
            seconds += run.seconds
            fault = run.fault or _short_of(stage, run.measured)
            if fault:
                feedback = _refusal(f"Stage {number + 1} of {len(stages) + 1}: {fault}", run)
                return verdict_of(check, feedback=feedback, seconds=seconds, score=number / (len(stages) + 1))
        runs: list[_Run] = []
        for _ in range(int(check.value["repeats"])):
            runs.append(_run(check.value["command"], candidate, check, sandbox, heartbeat))
            if runs[-1].fault:
                break
        seconds += sum(run.seconds for run in runs)
        if runs[-1].fault:
            score = len(stages) / (len(stages) + 1)
            return verdict_of(check, feedback=_refusal(runs[-1].fault, runs[-1]), seconds=seconds, score=score)
        return _measured(check, [run.measured for run in runs if run.measured is not None], seconds)


def _measured(check: CheckSpec, runs: Sequence[Measurement], seconds: float) -> Verdict:
    """The verdict on a valid candidate: the median of the values, and of each metric that every run has."""
    value = statistics.median(run.value for run in runs if run.value is not None)
    shared = [name for name in runs[0].metrics if all(name in run.metrics for run in runs)]
    metrics = {name: statistics.median(run.metrics[name] for run in runs) for name in shared}
    return verdict_of(check, feedback=runs[0].feedback, passed=True, seconds=seconds, value=value, metrics=metrics)


def _run(command: Sequence[Any], candidate: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> _Run:
    job = job_of(command, candidate, check, _support())
    result = sandbox.run(dataclasses.replace(job, exclusive=check.value["cores"] == "exclusive"), heartbeat)
    fault = _fault(result, check)
    if fault:
        return _Run(seconds=result.seconds, fault=fault)
    try:
        measured = read(result.stdout)
    except Unreadable as error:
        return _Run(seconds=result.seconds, fault=f"The evaluator gave no score: {error}.")
    invalid = "The evaluator finds it invalid." if measured.value is None else ""
    return _Run(seconds=result.seconds, measured=measured, fault=invalid)


@functools.cache
def _support() -> Mapping[str, bytes]:
    """What lies beside every evaluator, by name."""
    source = resources.files("tasks.validators").joinpath("evaluator", SUPPORT)
    return {SUPPORT: source.read_bytes()}


def _fault(result: SandboxResult, check: CheckSpec) -> str:
    """How an evaluator broke off, in one line; empty where it ended by itself with exit code 0."""
    if result.killed is not None or result.exit_code > 128:
        return f"The evaluator did not finish: {ended(result, check)}."
    if result.exit_code == 0:
        return ""
    lines = [line for line in printable(result.stderr).splitlines() if line.strip()]
    last = clipped(lines[-1].strip(), LINE_CHARS) if lines else ""
    if result.exit_code in NOT_STARTED:
        return f"The evaluator could not be started: {last}".rstrip(": ")
    return f"The evaluator ended with exit code {result.exit_code}{f': {last}' if last else '.'}"


def _refusal(fault: str, run: _Run) -> str:
    """Why there is no value, and what the evaluator says of it."""
    said = run.measured.feedback if run.measured is not None else ""
    return f"{fault}\n{said}".strip()


def _short_of(stage: Mapping[str, Any], measured: Measurement | None) -> str:
    """Why a candidate does not come to the next stage; empty where it does."""
    value = measured.value if measured is not None else None
    if value is None:
        return ""
    least, most = stage.get("at_least"), stage.get("at_most")
    if least is not None and value < least:
        return f"its score is {value:.10g}, and the next stage needs at least {least:.10g}."
    if most is not None and value > most:
        return f"its score is {value:.10g}, and the next stage needs at most {most:.10g}."
    return ""


def _examine_options(options: Mapping[str, Any]) -> None:
    plateau = options.get("plateau")
    good = {
        "goal": options.get("goal") in GOALS,
        "cores": options.get("cores") in CORES,
        "target": options.get("target") is None or _is_number(options["target"]),
        "plateau": plateau is None or _is_plateau(plateau),
        "repeats": _is_whole(options.get("repeats"), REPEATS),
        "noise": _is_number(options.get("noise")) and options["noise"] >= 0,
    }
    for name, fits in good.items():
        if not fits:
            raise InvalidInput(name, options.get(name), OPTIONS[name])


def _stages(stages: Any) -> list[Mapping[str, Any]]:
    """The stages as they are written or stored. Raises `InvalidInput`."""
    if stages is None:
        return []
    if not isinstance(stages, list) or len(stages) > STAGES:
        raise InvalidInput("stages", stages, OPTIONS["stages"])
    for number, stage in enumerate(stages):
        names = set(stage) if isinstance(stage, Mapping) else set()
        limits = names - {"command"}
        if "command" not in names or limits not in ({"at_least"}, {"at_most"}) or not _is_number(stage[min(limits)]):
            raise InvalidInput(f"stages[{number}]", stage, "`command` and either `at_least` or `at_most`, a number")
    return stages


def _is_plateau(plateau: Any) -> bool:
    if not isinstance(plateau, Mapping) or not {"iterations"} <= set(plateau) <= {"iterations", "improvement"}:
        return False
    improvement = plateau.get("improvement", 0)
    return _is_whole(plateau["iterations"], 1_000_000) and _is_number(improvement) and improvement >= 0


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return not (isinstance(value, float) and not math.isfinite(value)) and abs(value) <= LARGEST


def _is_whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most

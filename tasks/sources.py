"""What a program may submit (job files, mappings, specs) → a `Submission`, under the rules of job files.

Knows neither the command line's flags nor the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import InvalidInput
from tasks.faults import Faults
from tasks.jobfields import check_egress
from tasks.jobfile import RawJob, read_source
from tasks.submit import Progress, Rules, Submission, check
from tasks.types import JobSpec

# A job file's path, a job's fields with its text in `problem`, or a spec.
Source = str | Path | Mapping[str, Any] | JobSpec


def check_sources(jobs: Source | Iterable[Source], folder: Path, rules: Rules, progress: Progress) -> Submission:
    """One source or several as checked jobs; the relative paths of mappings start at `folder`. Raises `InvalidInput`.

    Specs are taken as they are, and not beside other sources.
    """
    sources = [jobs] if isinstance(jobs, str | Path | Mapping | JobSpec) else list(jobs)
    specs = [source for source in sources if isinstance(source, JobSpec)]
    if not specs:
        faults = Faults()
        raw: list[RawJob] = []
        for number, source in enumerate(sources):
            with faults.gather():
                raw += _raw(source, number, folder, faults)
        return check(raw, rules, progress, faults)
    if len(specs) < len(sources):
        raise InvalidInput("jobs", specs[0].title, "specs alone, or job files and mappings")
    for spec in specs:
        if spec.egress is not None:
            check_egress(spec.egress)
    origins = tuple(spec.title for spec in specs)
    return Submission(specs=tuple(specs), origins=origins, contents={}, egress=rules.egress)


def _raw(source: Source, number: int, folder: Path, faults: Faults) -> Sequence[RawJob]:
    if isinstance(source, str | Path):
        return read_source(str(source), _no_stdin, faults)
    assert not isinstance(source, JobSpec)
    where, problem = f"jobs[{number}]", source.get("problem")
    if not isinstance(problem, str):
        raise InvalidInput(f"{where}: problem", problem, "the problem's text")
    fields = {name: value for name, value in source.items() if name != "problem"}
    return [RawJob(where=where, folder=folder, fields=fields, problem=problem)]


def _no_stdin() -> bytes:
    raise InvalidInput("jobs", "-", "the path of a job file; standard input is the command line's")

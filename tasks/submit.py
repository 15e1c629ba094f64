"""A submission in three steps: parse (text → raw jobs), check (raw jobs → specs), store (specs → rows).

Every job is checked before any is stored, and all are stored in one transaction or none. Must not know which
validators, strategies or runtimes there are: those come as `Rules`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks import jobfields
from tasks.attachments import AttachedFile, read_attachments
from tasks.dryruns import Located, check_runtimes, try_checks
from tasks.errors import InvalidInput
from tasks.faults import Faults
from tasks.filesets import read_files
from tasks.jobchecks import ValidatorSource, build_checks, without_checks
from tasks.jobfields import JobFields
from tasks.jobfile import PROBLEM_BYTES, RawJob, read_source
from tasks.jobflags import Flags, with_flags
from tasks.measuring import TokenCount, problem_tokens
from tasks.ports import Sandbox
from tasks.scoring import unheard
from tasks.startfile import read_start
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.store.summaries import Submitted
from tasks.types import ASK_HOURS, BatchBudget, CheckSpec, Egress, FileSet, JobSpec, Lane

TITLE_CHARS = 120
# The files of all jobs of one submission: they are held in memory and stored in one transaction.
CONTENTS_BYTES = 256_000_000
# Called with a step's name, how many jobs (or checks) of it are done, and how many there are.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What this deployment allows: kinds of checks, names of strategies, and the egress of a job that names none.

    `runtimes` are those of the machine that runs the checks, None where that is another one. Checks are tried in
    `sandbox`, where there is one.
    """

    validators: ValidatorSource
    strategies: tuple[str, ...]
    egress: Egress | None = None
    runtimes: tuple[str, ...] | None = None
    sandbox: Sandbox | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Checked jobs, where each was written, and the contents of their attachments by hash.

    `egress` is the installation's, for jobs that name none; `notes` are lines for the person who submits: what could
    not be tried.
    """

    specs: tuple[JobSpec, ...]
    origins: tuple[str, ...]
    contents: Mapping[str, bytes]
    egress: Egress | None = None
    notes: tuple[str, ...] = ()

    def checks(self) -> Iterator[Located]:
        """Every check of every job, with where it is written."""
        for origin, spec in zip(self.origins, self.specs, strict=True):
            for number, check in enumerate(spec.checks):
                yield f"{origin}: checks[{number}]", check


def no_progress(step: str, done: int, total: int) -> None:
    """For submissions that nobody watches."""


def parse(files: Sequence[str], flags: Flags, stdin: Callable[[], bytes], faults: Faults) -> tuple[RawJob, ...]:
    """Every job of the FILE arguments that can be read, with the flags; `stdin` reads standard input whole. What can't
    be read is kept in `faults`. Raises `InvalidInput` where the arguments don't fit together."""
    if files.count("-") > 1:
        raise InvalidInput("FILE", "-", "standard input can be read once")
    raw = [job for name in files for job in read_source(name, stdin, faults)]
    if flags.key is not None and len(raw) > 1:
        raise InvalidInput("--key", flags.key, f"a key names one job, and {len(raw)} were given; write it into each")
    return tuple(with_flags(job, flags) for job in raw)


def check(
    raw: Sequence[RawJob], rules: Rules, progress: Progress = no_progress, faults: Faults | None = None
) -> Submission:
    """All jobs as specs, their checks tried where `rules` name a sandbox and nothing else is wrong.

    Raises `InvalidInput` for all that is not allowed, and for the `faults` found before; each field begins with where
    its job is written.
    """
    faults = faults or Faults()
    specs: list[JobSpec] = []
    contents: dict[str, bytes] = {}
    for number, job in enumerate(raw, start=1):
        with faults.gather():
            spec, attached = build_spec(job, rules)
            specs.append(spec)
            contents |= {file.attachment.sha256: file.content for file in attached}
            if attached and sum(map(len, contents.values())) > CONTENTS_BYTES:
                allowed = f"at most {CONTENTS_BYTES:,} bytes of files at once"
                faults.add(InvalidInput(f"{job.where}: problem", attached[-1].attachment.name, allowed))
                break
        progress("checked", number, len(raw))
    faults.refuse()
    origins = tuple(job.where for job in raw)
    submission = Submission(specs=tuple(specs), origins=origins, contents=contents, egress=rules.egress)
    return tried(submission, rules, functools.partial(progress, "loaded"))


def read_jobs(
    files: Sequence[str], flags: Flags, rules: Rules, stdin: Callable[[], bytes], progress: Progress = no_progress
) -> Submission:
    """The first two steps: parse, then check. Raises `InvalidInput` for all that is not allowed."""
    faults = Faults()
    return check(parse(files, flags, stdin, faults), rules, progress, faults)


def store(
    database: Database,
    submission: Submission,
    progress: Progress = no_progress,
    count: TokenCount | None = None,
    *,
    pool: BatchBudget | None = None,
) -> tuple[Submitted, ...]:
    """Stores all jobs with their attachments in one transaction, in their order; with a `pool` as one batch. `count`
    counts the tokens of problems near the limit of a context. Raises as `submit_jobs` does."""
    return submit_jobs(
        database,
        submission.specs,
        submission.contents,
        functools.partial(progress, "stored"),
        egress=submission.egress,
        measure=functools.partial(problem_tokens, submission.contents, count) if count else None,
        pool=pool,
    )


def build_spec(raw: RawJob, rules: Rules) -> tuple[JobSpec, tuple[AttachedFile, ...]]:
    """One job as a spec, with the files that it links to. Raises `InvalidInput` for all that is not allowed; each field
    begins with `raw.where`."""
    faults = Faults()
    fields, refused = jobfields.read_fields(raw.fields, rules.strategies)
    faults.add(*refused)
    at_fault = {jobfields.name_of(fault) for fault in refused}
    problem, attached = "", tuple[AttachedFile, ...]()
    with faults.gather():
        problem = _problem(raw)
        attached = read_attachments(problem, raw.folder)
    if fields.ask_hours is not None and not fields.ask and "ask" not in at_fault:
        faults.add(InvalidInput("ask_hours", fields.ask_hours, "given with `ask: true` (--ask)"))
    start = ""
    with faults.gather():
        start = _start(raw, fields)
    files, checks = FileSet(), tuple[CheckSpec, ...]()
    if at_fault.isdisjoint(("checks", "files", "read_only")):
        with faults.gather():
            files, checks = _judged(raw, fields, rules)
    faults.refuse(f"{raw.where}: ")
    return dataclasses.replace(_spec(fields, problem, checks, files, attached, rules), start=start), attached


def _start(raw: RawJob, fields: JobFields) -> str:
    if fields.start is None:
        return ""
    if fields.files:
        raise InvalidInput("start", fields.start, "left out where the job has `files`: it begins with those")
    return read_start(raw.folder, raw.fields["start"])  # as it was written: the flag's may be any file


def _judged(raw: RawJob, fields: JobFields, rules: Rules) -> tuple[FileSet, tuple[CheckSpec, ...]]:
    """The job's files and its checks. A check is read with the files beside it, so those come first."""
    files = read_files(raw.folder, fields.files, fields.read_only, without=_own_name(raw))
    checks = build_checks(fields.checks, raw.folder, rules.validators, files)
    refuse_unheard(checks)
    return without_checks(files, checks), checks


def _spec(
    fields: JobFields,
    problem: str,
    checks: Sequence[CheckSpec],
    files: FileSet,
    attached: Sequence[AttachedFile],
    rules: Rules,
) -> JobSpec:
    return JobSpec(
        title=fields.title or _title(problem),
        problem=problem,
        checks=tuple(checks),
        files=files,
        budget=jobfields.check_budget(fields.budget),
        strategy=fields.strategy,
        lane=Lane(fields.lane),
        egress=rules.egress if fields.egress is None else Egress(fields.egress),
        priority=fields.priority,
        tags=tuple(dict.fromkeys(fields.tags)),
        seed=fields.seed,
        key=fields.key,
        memory=fields.memory,
        cut=fields.cut,
        ask=fields.ask,
        ask_hours=ASK_HOURS if fields.ask_hours is None else fields.ask_hours,
        temperature=fields.temperature,
        model="" if fields.model == jobfields.ANY_MODEL else fields.model,
        attachments=tuple(file.attachment for file in attached),
    )


def refuse_unheard(checks: Sequence[CheckSpec]) -> None:
    """Raises `InvalidInput` where a score that does not decide says how the job ends."""
    if (option := unheard(checks)) is not None:
        number, name, value = option
        where = "the score that decides, which is the one held out, else the first"
        raise InvalidInput(f"checks[{number}].{name}", value, f"an option of {where}")


def _own_name(raw: RawJob) -> tuple[str, ...]:
    """The name of the job file in its folder: it names the checks, so it is none of the job's files."""
    return (raw.file,) if raw.file else ()


def tried(submission: Submission, rules: Rules, progress: Callable[[int, int], None]) -> Submission:
    """The submission, whose checks were tried as far as `rules` allow. Raises `InvalidInput`."""
    if rules.runtimes is not None:
        check_runtimes(submission.checks(), rules.runtimes)
    if rules.sandbox is None:
        return submission
    note = try_checks(submission.checks(), rules.validators, rules.sandbox, progress)
    return dataclasses.replace(submission, notes=(note,) if note else ())


def _problem(raw: RawJob) -> str:
    jobfields.refuse_unstorable({"problem": raw.problem})
    problem = raw.problem.strip()
    if not problem:
        raise InvalidInput("problem", "", "the problem in words is missing")
    size = len(problem.encode())
    if size > PROBLEM_BYTES:
        raise InvalidInput("problem", f"{size:,} bytes", f"at most {PROBLEM_BYTES:,} bytes")
    return problem


def _title(problem: str) -> str:
    """The first heading, or the first line."""
    lines = [line.strip() for line in problem.split("\n") if line.strip()]
    heading = next((line for line in lines if re.match(r"#{1,6}\s+\S", line)), lines[0])
    clean = re.sub(r"[\x00-\x1f\x7f]", " ", re.sub(r"^#{1,6}\s+|\s+#+$", "", heading)).strip() or "untitled"
    return clean if len(clean) <= TITLE_CHARS else clean[: TITLE_CHARS - 1] + "…"

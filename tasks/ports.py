"""The seams of the domain. Each protocol has a real implementation and a scripted or in-memory twin,
and one contract test runs against both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from tasks.errors import JournalMismatch
from tasks.heartbeat import Heartbeat as Heartbeat  # noqa: PLC0414  (a port like these, which `Turn` needs first)
from tasks.turn import Turn
from tasks.types import (
    CallKey,
    Candidate,
    CandidateRef,
    ChatRequest,
    CheckSpec,
    Claim,
    CloudAnswer,
    CloudPlan,
    Completion,
    Decision,
    Egress,
    EscalationKind,
    EscalationRecord,
    EscalationState,
    Experience,
    FileSet,
    Grant,
    Health,
    Hint,
    Iteration,
    Job,
    Lane,
    Lesson,
    LessonKind,
    Limits,
    Match,
    Message,
    Move,
    Omission,
    Record,
    RequestSize,
    SandboxJob,
    SandboxResult,
    Stop,
    StopCode,
    Verdict,
)


class ChatModel(Protocol):
    """A chat model behind one endpoint."""

    name: str
    context_tokens: int

    def complete(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
        """One streamed answer, guarded while it streams.

        Raises `EngineFault` where the engine fails, and whatever `heartbeat.check()` raises: then the
        request has been cancelled at the engine. Where that is a `LimitReached`, what was written by then is
        returned, with the finish reason `DEADLINE`.
        """

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Tokens of the rendered prompt, by the model's own tokenizer where the endpoint has one."""


class Admission(Protocol):
    """How much an engine is given at once."""

    def admit(self, space: RequestSize, heartbeat: Heartbeat) -> AbstractContextManager[None]:
        """One request of such a size may run inside. Waits for room on entry, and raises there what
        `heartbeat.checkpoint()` raises."""


class Sandbox(Protocol):
    """Runs what a model wrote, where it can touch nothing."""

    def run(self, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult:
        """Raises `SandboxUnavailable` where the sandbox itself cannot start or lacks the job's runtime; never runs
        anything outside it."""

    def run_joined(
        self, job: SandboxJob, other: SandboxJob, heartbeat: Heartbeat
    ) -> tuple[SandboxResult, SandboxResult]:
        """Runs two jobs side by side, each in a sandbox of its own, with pipes between them at the descriptors
        `tasks.types.JOINED`. The `other` is ended with `job`. Raises as `run` does."""


@runtime_checkable
class CheckKind(Protocol):
    """One kind of check. Found by the entry-point group `redraft.validators` under its `kind`."""

    kind: ClassVar[str]
    cost: ClassVar[int]  # cheap ones run first

    def parse(self, value: Any, folder: Path | None) -> tuple[Any, Mapping[str, str | bytes]]:
        """Validates the value a user wrote; `folder` is the job file's (None where there is no file). A kind with
        `options`, a mapping of the names that only its entries may have to what is allowed, is given a mapping of its
        own name and of those that are there instead.

        Returns the value to store and the files to store with it. Raises `InvalidInput`, whose field
        is relative to the check.
        """


@runtime_checkable
class FolderCheck(CheckKind, Protocol):
    """A kind of check that reads its value otherwise where the job names its files."""

    def parse_beside(self, value: Any, folder: Path | None, files: FileSet) -> tuple[Any, Mapping[str, str | bytes]]:
        """As `CheckKind.parse`, without the files that an answer writes; the names of others are relative to `folder`.
        Raises `InvalidInput`."""


@runtime_checkable
class Examiner(Protocol):
    """A kind of check that looks at a check once more when its options are known, before it is stored."""

    def examine(self, check: CheckSpec) -> None:
        """Raises `InvalidInput`, whose field is relative to the check, where no answer could ever pass."""


@runtime_checkable
class Validator(CheckKind, Protocol):
    """A kind of check that a program decides. A `judge` check is not one: a `JudgePanel` decides it."""

    def validate(self, candidate: str, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> Verdict:
        """Raises only `ServiceFault`s and what `heartbeat` raises: all that a candidate does wrong is a verdict."""


@runtime_checkable
class Observer(CheckKind, Protocol):
    """A kind of check that can tell whether two candidates do the same, right or wrong."""

    def behaviour(
        self, candidate: str, check: CheckSpec, inputs: Sequence[str], sandbox: Sandbox, heartbeat: Heartbeat
    ) -> str | None:
        """The same text for candidates that do the same on `inputs`; None where that can't be told. Raises as
        `Validator.validate` does."""


@runtime_checkable
class DryRun(CheckKind, Protocol):
    """A kind of check that can be tried in the sandbox before any candidate is there."""

    def dry_run(self, check: CheckSpec, sandbox: Sandbox, heartbeat: Heartbeat) -> None:
        """Raises `InvalidInput`, whose field is the kind, where no candidate could pass, and `ServiceFault`s."""


class Checks(Protocol):
    """The checks that this worker can decide."""

    def examine(self, checks: Sequence[CheckSpec]) -> None:
        """Raises `PluginUnavailable` where this worker lacks the kind of one of a job's stored `checks`, `MalformedJob`
        where no worker could ever decide one."""

    def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Heartbeat) -> tuple[Verdict, ...]:
        """The verdicts of the deterministic `checks` on a candidate's text; a check not run has none. Raises
        `PluginUnavailable`, `ServiceFault`s and what `heartbeat` raises."""

    def behaviour(
        self, candidate: str, checks: Sequence[CheckSpec], inputs: Sequence[str], heartbeat: Heartbeat
    ) -> str | None:
        """A digest that candidates share which do the same on `inputs`, or have the same answer; None where only inputs
        could tell and there are none, or nothing but the text can. Raises as `validate` does."""

    def grade(self, verdicts: Sequence[Verdict], checks: Sequence[CheckSpec]) -> tuple[float, bool]:
        """The score of a candidate over all the job's `checks`, in [0, 1], and whether they accept it."""


class JudgePanel(Protocol):
    """The second agent: judges candidates by the job's `judge` checks, with model calls that are journalled."""

    def judge(self, turn: Turn, candidate: Candidate, checks: Sequence[CheckSpec]) -> tuple[Verdict, ...]:
        """One verdict a check, visible ones first, up to the first that did not pass. Raises `LimitReached`,
        `EngineFault`, and what the turn's heartbeat raises."""


class MemoryBank(Protocol):
    """The index of lessons, which can be rebuilt from the store. Every method raises `MemoryUnavailable`."""

    def upsert(self, lesson: Lesson) -> None:
        """Adds a stored lesson, or replaces it: twice is as once."""

    def search(
        self, owner: str, text: str, *, family: str | None = None, kind: LessonKind | None = None, limit: int = 5
    ) -> tuple[Match, ...]:
        """The owner's lessons that fit `text` best by meaning and by words, the best first; a newer one goes before
        an older that fits as well."""

    def nearest(self, lesson: Lesson) -> Match | None:
        """The earlier lesson of the same owner, family and kind that means most nearly the same."""

    def remove(self, lesson: int) -> None:
        """Takes a lesson out; one that is not there is no error."""

    def clear(self, owner: str | None = None) -> None:
        """Takes out all lessons of `owner`, or of everybody."""

    def count(self) -> int:
        """How many lessons there are."""


class LessonRecords(Protocol):
    """What became of the jobs that recalled lessons."""

    def records(self, lessons: Sequence[int]) -> Mapping[int, Record]:
        """Those of `lessons` that are stored. Raises `DatabaseUnavailable`."""

    def experience(self, owner: str, family: str) -> Experience:
        """What became of the owner's last jobs, those of the family. Raises `DatabaseUnavailable`."""


class LessonService(Protocol):
    """What earlier jobs taught, and what this one teaches."""

    def recall(self, job: Job) -> tuple[Lesson, ...]:
        """At most one success and one failure that fit the job. Raises `ServiceFault` where the memory is away."""

    def has_lesson(self, job: Job) -> bool:
        """Whether an ended job has something sure to teach."""

    def distil(self, turn: Turn) -> Lesson | None:
        """What the ended job teaches, by one journalled call; None where nothing honest can be said. Raises
        `LimitReached`, `EngineFault`, and what the turn's heartbeat raises."""


class Cloud(Protocol):
    """The stronger model, asked at most once for each decision."""

    def answer(self, turn: Turn, number: int, kind: EscalationKind = EscalationKind.ANSWER) -> Completion | None:
        """What the escalation of iteration `number` asks for: requested, re-attached to after a crash, or read from
        the ledger. None where none came: refused, failed, unaffordable or unknown. Raises what the turn's heartbeat
        raises, `LimitReached` where the job's hours are over, and `CloudFault` where a later turn may still fetch
        it."""


class CloudModel(Protocol):
    """The cloud's API: one request, fetched until it ends."""

    @property
    def provider(self) -> str:
        """Whom it asks: host and port, as the circuit breaker knows them."""

    def start(
        self,
        request: str,
        egress: Egress,
        on_id: Callable[[str], None],
        heartbeat: Heartbeat,
        kind: EscalationKind = EscalationKind.ANSWER,
    ) -> CloudAnswer:
        """Sends `request` (JSON), which asks for a `kind` of help, once and stays with it to its end. `on_id` is called
        with the cloud's id as soon as it is known, before anything else is read.

        Raises `EgressForbidden` before a socket is opened, `CloudUnreached` where no byte of the request left,
        `CloudFault` where it has an id and can't be fetched now, and what `heartbeat` and `on_id` raise.
        """

    def models(self, heartbeat: Heartbeat) -> frozenset[str] | None:
        """The ids of the models that it serves; None where it does not say. Raises what `heartbeat` raises."""

    def attach(self, response_id: str, heartbeat: Heartbeat) -> CloudAnswer:
        """Fetches a response that was asked for before. Raises `CloudFault` and what `heartbeat` raises."""

    def cancel(self, response_id: str) -> CloudAnswer:
        """Tells the cloud to stop; what is known of it then. Takes seconds at most, and raises nothing of ours."""


class EscalationLedger(Protocol):
    """What is kept of a job's escalations, one for each iteration that is one. Writes are fenced as `Ledger`'s."""

    def find(self, claim: Claim, number: int) -> EscalationRecord | None:
        """The escalation of iteration `number`, or None."""

    def intend(self, claim: Claim, number: int, plan: CloudPlan) -> EscalationRecord:
        """Reserves the plan's USD and tokens and stores it as `intent`; as `refused` where the budget can't pay, and as
        `unsent`, to wait, while the circuit of its provider is open."""

    def intend_again(self, claim: Claim, number: int) -> EscalationRecord:
        """One that is `unsent` or `waiting` is about to be sent: `intent` again, unless its provider's circuit is open:
        then it waits on."""

    def fall_through(self, claim: Claim, number: int, plan: CloudPlan) -> EscalationRecord:
        """The provider has the model no more, and has taken nothing: `plan`, for another one, takes the place of the
        request, `unsent` until it is intended again; or is `refused`, as `intend` has it."""

    def postpone(self, claim: Claim, number: int, why: str, seconds: float, health: Health, *, refused: bool) -> None:
        """It was surely not accepted, and is sent after `seconds`: `waiting` where the provider has `refused` it now or
        before, else `unsent`."""

    def hold_back(self, claim: Claim, number: int, why: str, health: Health = Health.UNKNOWN) -> None:
        """Nothing has left, and nothing will: `unsent` for good, its reservation given back."""

    def identify(self, claim: Claim, number: int, response_id: str) -> None:
        """The cloud's id is known: `running`."""

    def settle(
        self,
        claim: Claim,
        number: int,
        state: EscalationState,
        completion: Completion,
        error: str = "",
        health: Health = Health.UNKNOWN,
    ) -> None:
        """It has ended: charges `completion` instead of the reservation, and journals it as a call."""


class Decider(Protocol):
    """Decides a job's next move: a pure function."""

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """No clock, no I/O, no randomness: what it needs to know of time and spend is in `limits`."""


@runtime_checkable
class Strategy(Decider, Protocol):
    """A decider that is found by its name, in the entry-point group `redraft.strategies`."""

    name: ClassVar[str]


class CallLedger(Protocol):
    """What is kept of model calls."""

    def find_call(self, claim: Claim, key: CallKey, prompt_hash: str) -> Completion | None:
        """The journalled call, or None. Raises `JournalMismatch` where its prompt was another."""

    def set_aside(self, claim: Claim, key: CallKey, mismatch: JournalMismatch) -> None:
        """Keeps a call and those of its slot that were built on it, out of their iteration's way: they are made again.
        Raises `mismatch` where that has happened too often to be a change of the model."""

    def reserve(self, claim: Claim, key: CallKey, tokens: int, completion_tokens: int = 0) -> Grant:
        """Reserves `tokens` of the budget, the batch's included, before a call, of which at most `completion_tokens`
        are its answer's. Returns what the call may take: fewer tokens where the budget leaves fewer. Raises
        `LimitReached`, `DailyLimitReached`; `BatchReserved`, `DailyReserved` where only calls in flight of other jobs
        stand in the way."""

    def commit_call(
        self,
        claim: Claim,
        key: CallKey,
        request: ChatRequest,
        prompt_hash: str,
        completion: Completion,
        *,
        omissions: Sequence[Omission] = (),
    ) -> None:
        """Journals a call with what its prompt left out, and settles its reservation."""


class Ledger(CallLedger, Protocol):
    """What the loop keeps. Every write is one transaction that begins by locking the lease row of the
    claim, and raises `LeaseLost` where its epoch is stale."""

    def load(self, claim: Claim) -> Job:
        """The job with all that is committed of it. The hints that wait belong from now on to the open iteration, where
        none of its calls is made yet."""

    def refresh(self, claim: Claim, job: Job) -> Job:
        """The job with its budget, its spend, its hours, the number of hints that wait and the lanes that are served as
        they are now; all else as it was."""

    def begin(self, claim: Claim, number: int, move: Move, lessons: Sequence[Lesson]) -> tuple[Hint, ...]:
        """Opens iteration `number` with `move`; again is harmless. The `lessons` of a job's first iteration are
        kept with it, and never changed again. The hints that wait belong to it from now on; returns all that it
        sees."""

    def commit_candidates(self, claim: Claim, number: int, candidates: Sequence[Candidate]) -> None:
        """All slots of the open iteration have their text."""

    def commit_verdicts(self, claim: Claim, candidate: Candidate, *, done: bool) -> None:
        """One candidate has its verdicts, its score and its behaviour; all verdicts where `done`, else its judges are
        to come."""

    def commit_inputs(self, claim: Claim, number: int, inputs: Sequence[str]) -> None:
        """The probe that is open has its inputs."""

    def commit_behaviour(self, claim: Claim, ref: CandidateRef, behaviour: str) -> None:
        """One earlier candidate was run on the inputs of the open probe."""

    def record(
        self,
        claim: Claim,
        iteration: Iteration,
        decision: Decision,
        *,
        lane: Lane,
        lesson_due: bool,
        noise: float = 0.0,
    ) -> None:
        """Closes the open iteration, keeps the incumbent unless beaten by more than `noise`, and either stops the job
        or opens the next iteration, whose first step runs on `lane`. A job that stops with a `lesson_due` can
        still be claimed, on `lane`, for that alone."""

    def ask(self, claim: Claim, number: int, question: str, *, hours: float) -> None:
        """Closes the open iteration, which made the question, and gives the lease back: nobody can claim the job until
        its question is answered, or so many hours have passed."""

    def keep_lesson(self, claim: Claim, lesson: Lesson | None) -> None:
        """An ended job owes its lesson no more; the outbox carries it, if there is one, to the memory."""

    def note(self, claim: Claim, kind: str, detail: str) -> None:
        """Adds to the job's log of events."""

    def hand_over(
        self,
        claim: Claim,
        lane: Lane,
        fault: str = "",
        *,
        code: StopCode = StopCode.SERVICE_FAULTS,
        interrupted: bool = False,
        delay_seconds: float = 0.0,
    ) -> None:
        """Gives the lease back; the job's next step runs on `lane`, after `delay_seconds`, and once it is resumed where
        a pause was asked for. `fault` names what failed, if anything did: then the next try waits, longer with each in
        a row, and after too many the job ends with `code`. A turn that is `interrupted` by its worker's end is taken up
        before any other."""

    def wait(
        self, claim: Claim, lane: Lane, why: str, *, seconds: float, idle: bool = False, told: bool = False
    ) -> None:
        """Gives the lease back: the job goes on with `lane` after `seconds`, and until then people read `why`, in its
        events, too, unless these were `told` of it. Where it is `idle` its hours stand still."""

    def seek_context(self, claim: Claim, lane: Lane, decision: Stop, *, above: int) -> None:
        """The problem does not fit the context of the worker's model, of `above` tokens: leaves the job to a worker of
        `lane` with a larger one, or ends it with `decision` where none lives."""

    def stop(self, claim: Claim, decision: Stop) -> None:
        """Ends the job outside a record (cancelled, budget spent before a call). A job ends once: one that has ended
        is given up its lesson."""

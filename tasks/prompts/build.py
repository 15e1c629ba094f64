"""What a model is shown: problem and visible checks first, then what earlier jobs taught, then advice to the job,
then the role, one candidate and its feedback, the goal.

Pure. A prompt has the same size at iteration 30 as at iteration 1, and begins the same for every operator of
a job, so that the engine's prefix cache serves it. What may be shown of a check is decided in `redact`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Sequence

from tasks.edits import Body, body_of
from tasks.jobfiles import shown_text
from tasks.prompts import roles
from tasks.prompts.hints import hints
from tasks.prompts.layout import (
    BUGS,
    CANDIDATE_CHARS,
    CHANGED_CHARS,
    FEEDBACK_CHARS,
    JUDGED_CHARS,
    LET_THROUGH_CHARS,
    RUBRIC_CHARS,
    WHOLE,
    Shortener,
    fence,
)
from tasks.prompts.plans import plans
from tasks.prompts.prefix import has_check, prefix, problem_chars, statement
from tasks.prompts.redact import feedback, measured, visible_failures
from tasks.scoring import SCORE
from tasks.types import Candidate, Cut, Job, Modality, Prompt

# Rejected answers that a stronger model is shown where it writes one, and those whose plans it is told for a hint.
TRIES = 3
PLANS = 5
# With which an answer by another plan begins; in a program it is a comment.
PLAN_LINE = "# Plan:"
# Calls that are requested at once; the guard takes a dozen lines that differ in their digits for a loop.
INPUTS = 10
SYSTEM = "You solve problems carefully. A program checks your answer, so keep exactly to the form that is asked for."
HINT_ORDER = "Write the advice now, in at most 150 words and without the answer itself."
_ANSWER = re.compile(r"^\W*ANSWER\W*:", re.IGNORECASE)


def draft(job: Job, *, cut: Cut = WHOLE) -> Prompt:
    """Asks for a fresh answer, in a prompt that is shortened as `cut` says. Code is asked for in one block."""
    shortener = Shortener(cut)
    role = "# Task\nSolve the problem above. Think of the edge cases before you write."
    return _in_one_block(job, _prompt(job, shortener, prefix(job, shortener), role, _goal(job)))


def review(job: Job, parent: Candidate, *, cut: Cut = WHOLE) -> Prompt:
    """Asks for a list of problems of `parent`, each with a quote; no fix, no praise."""
    shortener = Shortener(cut)
    shown = (_candidate(job, parent, shortener), *_said(job, parent, shortener))
    order = "List the problems of the answer now, each with its quote."
    return _prompt(job, shortener, prefix(job, shortener), roles.review(job), *shown, order)


def revise(job: Job, parent: Candidate, bugs: tuple[str, ...], *, cut: Cut = WHOLE) -> Prompt:
    """Asks for the whole answer anew with the problems of `parent` corrected."""
    shortener, problems = Shortener(cut), ""
    if bugs:
        listed = "\n".join(f"- {bug}" for bug in bugs[:BUGS])
        problems = "# What a reviewer found\n" + shortener.shorten("review", listed, shortener.in_rest(FEEDBACK_CHARS))
    shown = (_candidate(job, parent, shortener), *_said(job, parent, shortener), problems)
    return _prompt(job, shortener, prefix(job, shortener), roles.revise(job), *shown, _goal(job))


def repair(job: Job, parent: Candidate, *, cut: Cut = WHOLE) -> Prompt:
    """Asks what is wrong with `parent`, in a paragraph, and for the whole answer anew with that corrected."""
    shortener = Shortener(cut)
    shown = (_candidate(job, parent, shortener), *_said(job, parent, shortener))
    order = f"Write the paragraph first. {_goal_after(job)}"
    prompt = _prompt(job, shortener, prefix(job, shortener), roles.repair(job), *shown, order)
    return _in_one_block(job, prompt) if has_check(job, SCORE) else prompt


def redraft(job: Job, tried: Sequence[Candidate], *, cut: Cut = WHOLE) -> Prompt:
    """Asks for a fresh answer by another plan than those of the rejected candidates `tried`, of which one failure is
    shown."""
    shortener = Shortener(cut)
    listed = "\n".join(f"- {plan}" for plan in plans(tried))
    role = (
        f"# Task\nSolve the problem above by another plan. {roles.tried(job)}:\n"
        f"{listed}\n"
        "Choose a plan that differs from each of them, and name it in a few words on the first line, which begins with "
        f"`{PLAN_LINE}`."
    )
    failures = visible_failures(job, tried)
    lesson = (
        shortener.shorten("feedback of checks", failures[-1], shortener.in_rest(FEEDBACK_CHARS // 3))
        if failures
        else ""
    )
    learnt = f"# What failed before\n{lesson}" if lesson else ""
    return _in_one_block(job, _prompt(job, shortener, prefix(job, shortener), role, learnt, _goal_after(job)))


def aggregate(job: Job, candidates: Sequence[Candidate], *, cut: Cut = WHOLE) -> Prompt:
    """Asks for one answer out of several, with what the checks say of each (RSA, arXiv 2509.26626)."""
    role = (
        f"# Task\nBelow are {len(candidates)} answers to the problem above. Each may be right, or wrong in part. "
        "Compare them, keep what is right in each, and write one answer that is better than all of them."
    )
    shortener = Shortener(cut)
    shown = [_with_said(job, one, _part(job, one, shortener, len(candidates)), shortener) for one in candidates]
    return _in_one_block(job, _prompt(job, shortener, prefix(job, shortener), role, *shown, _goal(job)))


def synthesise(job: Job, candidates: Sequence[Candidate], *, cut: Cut = WHOLE) -> Prompt:
    """Asks for one answer with the best parts of several, in the order given and with no word on which is best."""
    role = (
        f"# Task\nBelow are {len(candidates)} answers to the problem above, in no order. Find out which parts of each "
        "are best, and write one answer of these parts, whole and in one voice. Leave out what any of them has wrong."
    )
    shortener = Shortener(cut)
    shown = [_part(job, one, shortener, len(candidates)) for one in candidates]
    return _in_one_block(job, _prompt(job, shortener, prefix(job, shortener), role, *shown, _goal(job)))


def change(
    job: Job, role: str, shown: Callable[[Shortener], Sequence[str]], order: str, *, whole: bool, cut: Cut = WHOLE
) -> Prompt:
    """Asks for another answer than those that are `shown`, as `role` says. What differs between two such prompts,
    `order`, comes last; where the answer is to be `whole`, its form follows."""
    shortener = Shortener(cut)
    ends = f"{order}\n\n{_goal(job)}" if whole else order
    prompt = _prompt(job, shortener, prefix(job, shortener), role, *shown(shortener), ends)
    return _in_one_block(job, prompt) if whole else prompt


def inputs(job: Job, functions: Collection[str], *, cut: Cut = WHOLE) -> Prompt:
    """Asks for calls of `functions`, the lines that begin them, with which programs that differ are told apart."""
    listed = fence("\n".join(functions), "python")
    role = (
        "# Task\nSeveral programs claim to solve the problem above. Write calls with which those that differ can be "
        f"told apart. These can be called:\n{listed}\nWrite {INPUTS} calls, one on a line, without their results, with "
        "literals as arguments: ordinary cases, empty and smallest ones, zero and negative numbers, repeated and equal "
        "elements, the limits that the problem names, and a larger case. Make no two alike."
    )
    shortener = Shortener(cut)
    prompt = _prompt(job, shortener, prefix(job, shortener), role, "Write the calls now, nothing else.")
    return dataclasses.replace(prompt, asks_lines=INPUTS)


def judge(job: Job, candidate: Candidate, rubric: str, task: str, order: str, *, cut: Cut = WHOLE) -> Prompt:
    """Asks a judge about `candidate`, which is shown without the verdicts of other checks, nor the advice that its
    author had. `rubric`, where there is
    one, is that of one check. What differs between two judge prompts, `task` and `order`, comes last."""
    shortener = Shortener(cut)
    parts = [_candidate(job, candidate, shortener, JUDGED_CHARS)]
    if rubric:
        shown = shortener.shorten("the judge's rubric", rubric, shortener.in_rest(RUBRIC_CHARS))
        parts.append("# The rubric\n" + fence(shown, ""))
    return _prompt(job, shortener, prefix(job, shortener), *parts, task, order, advised=False)


def escalate(job: Job) -> Prompt:
    """Asks a stronger model for the whole answer: the problem, the best candidates so far and the feedback on them."""
    return _asked(job, roles.escalate(job), TRIES, _goal(job))


def hint(job: Job) -> Prompt:
    """Asks a stronger model for advice on the plan: the problem, and in a line each what was tried."""
    shortener = Shortener(WHOLE)
    listed = "\n".join(f"- {plan}" for plan in plans(_best(job, PLANS)))
    tried = f"# What was tried, and is not right\n{listed}" if listed else ""
    return _sent(job, shortener, roles.hint(job), tried, HINT_ORDER)


def hint_on_best(job: Job) -> Prompt:
    """Asks a stronger model for advice on the best candidate, which is shown with what the visible checks say of it."""
    return _asked(job, roles.hint_on_best(job), 1, HINT_ORDER) if _best(job, 1) else hint(job)


def question(job: Job, *, cut: Cut = WHOLE) -> Prompt:
    """Asks for one question to the person who posed the problem, with the best candidate and what the visible checks
    say of it."""
    shortener = Shortener(cut)
    shown = [_with_said(job, best, _candidate(job, best, shortener), shortener) for best in _best(job, 1)]
    order = "Write the question now, in one line that ends with a question mark, nothing else."
    return _prompt(job, shortener, prefix(job, shortener), roles.question(job), *shown, order)


def distil(job: Job, *, accepted: Candidate | None = None, failures: Sequence[str] = (), cut: Cut = WHOLE) -> Prompt:
    """Asks what the ended job teaches, in three lines: of the `accepted` answer, or of `failures` (feedback of checks).

    The lessons that the job itself recalled are left out, as is advice to it: a lesson is made of neither.
    """
    shortener = Shortener(cut)
    if accepted is not None:
        intro = "The answer below to the problem above was checked and is right. Write down what made it work"
        answer = "\n".join(line for line in accepted.text.strip().splitlines() if not _ANSWER.match(line))
        shown = "# The answer\n" + fence(_shortened(accepted, answer, shortener, CANDIDATE_CHARS), "")
    else:
        intro = "No answer to the problem above was right. Write down what went wrong, from what the checks said"
        room = shortener.in_rest(FEEDBACK_CHARS) // max(1, len(failures))
        shown = "# What the checks said\n" + "\n\n".join(
            shortener.shorten("feedback of checks", failure, room) for failure in failures
        )
    role = (
        f"# Task\n{intro}, as a lesson for somebody who will solve another problem of this kind. Name no value that "
        "is the answer. Write exactly three short lines, which begin with `WHEN:` (the kind of problem), `DO:` (what "
        "to do) and `AVOID:` (the mistake to avoid)."
    )
    return _prompt(
        job,
        shortener,
        statement(job, shortener),
        role,
        shown,
        "Write the three lines WHEN:, DO: and AVOID: now.",
        advised=False,
    )


def _asked(job: Job, role: str, most: int, order: str) -> Prompt:
    """Shows at most so many of the best candidates; no task is named where there is none."""
    shortener = Shortener(WHOLE)
    shown = [_with_said(job, best, _candidate(job, best, shortener), shortener) for best in _best(job, most)]
    return _sent(job, shortener, role if shown else "", *shown, order)


def _sent(job: Job, shortener: Shortener, role: str, *rest: str) -> Prompt:
    """All that is sent with an escalation, of the same size after thirty iterations as after ten. Lessons stay at home:
    they are of other jobs, whose words may not leave."""
    return _prompt(job, shortener, statement(job, shortener), role, *rest)


def _prompt(job: Job, shortener: Shortener, prefix: str, *rest: str, advised: bool = True) -> Prompt:
    """Advice stands after the prefix, which stays what it was for the prefix cache, and before all that differs."""
    rest = (hints(job, shortener), *rest) if advised else rest
    return Prompt(
        system=SYSTEM,
        prefix=prefix,
        rest="\n\n".join(part for part in rest if part),
        attachments=tuple(a for a in job.spec.attachments if a.modality is not Modality.TEXT),
        problem_chars=problem_chars(job),
        omissions=tuple(shortener.omissions),
    )


def _in_one_block(job: Job, prompt: Prompt) -> Prompt:
    """The prompt, whose answer is complete with its code block where code is asked for, or a program measures it."""
    if job.spec.files:
        return prompt
    code = has_check(job, "python")
    return dataclasses.replace(prompt, asks_code=code, asks_block=not code and has_check(job, SCORE))


def _goal(job: Job) -> str:
    if job.spec.files:
        return "Write the files now, each with its path on the line before its block."
    if has_check(job, "python"):
        return "Write the whole solution.py now, in one Python code block, nothing else."
    if has_check(job, "schema"):
        return "Write the JSON code block now."
    if has_check(job, "answer"):
        return "Solve it now and end with the line `ANSWER: …`."
    if has_check(job, SCORE):
        return "Write the whole answer now, and nothing else: a program reads it."
    return "Write the whole answer now."


def _goal_after(job: Job) -> str:
    """The goal where something is written before the answer."""
    if job.spec.files:
        return "Then write the files, each with its path on the line before its block."
    if has_check(job, "python"):
        return "Then write the whole solution.py in one Python code block."
    if has_check(job, "schema"):
        return "Then write the JSON code block."
    if has_check(job, "answer"):
        return "Then solve it and end with the line `ANSWER: …`."
    if has_check(job, SCORE):
        return "Then write the whole answer in one code block, and nothing after it: a program reads the block."
    return "Then write the whole answer."


def _said(job: Job, candidate: Candidate, shortener: Shortener) -> tuple[str, str]:
    """The candidate's values, and what the failed checks say of it."""
    return measured(job, candidate, shortener), feedback(job, candidate, shortener)


def _with_said(job: Job, candidate: Candidate, shown: str, shortener: Shortener) -> str:
    """A candidate as it is shown, and what is known of it."""
    value, said = _said(job, candidate, shortener)
    return f"{shown}\n\n{value}\n\n{said}" if value else f"{shown}\n\n{said}"


def _part(job: Job, candidate: Candidate, shortener: Shortener, of: int) -> str:
    """One of several candidates, which share the room of two."""
    return _candidate(job, candidate, shortener, 2 * _candidate_chars(job) // of)


def _candidate(job: Job, candidate: Candidate, shortener: Shortener, chars: int | None = None) -> str:
    chars = _candidate_chars(job) if chars is None else chars
    if candidate.let_through is not None and candidate.verdicts and not candidate.accepted:
        chars = min(chars, LET_THROUGH_CHARS)
    body = Body(text=shown_text(job, candidate).strip())
    if has_check(job, SCORE) and not job.spec.files:
        body = body_of(body.text)  # the prose around its code would be written again
    return "# The answer\n" + fence(_shortened(candidate, body.text, shortener, chars), body.label or "")


def _candidate_chars(job: Job) -> int:
    return CHANGED_CHARS if job.spec.files else CANDIDATE_CHARS


def _shortened(candidate: Candidate, text: str, shortener: Shortener, chars: int) -> str:
    name = f"candidate {candidate.ref}"
    return shortener.shorten(name, text, shortener.in_rest(chars))


def _best(job: Job, most: int) -> Sequence[Candidate]:
    """The candidates with the best scores, the first of equal texts, in the order in which they were written."""
    distinct: dict[str, Candidate] = {}
    for candidate in (candidate for iteration in job.history for candidate in iteration.candidates):
        if candidate.guard is None and candidate.text.strip():
            distinct.setdefault(" ".join(candidate.text.split()), candidate)
    best = sorted(distinct.values(), key=lambda candidate: (candidate.rank, candidate.ref), reverse=True)[:most]
    return sorted(best, key=lambda candidate: candidate.ref)

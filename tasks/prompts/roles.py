"""What the author or reviewer of an answer is asked to do: put an answer right, or, where the job has a score, raise a
valid one's. Pure; must not know what else a prompt shows."""

from __future__ import annotations

from tasks.prompts.layout import BUGS
from tasks.prompts.prefix import better, has_check
from tasks.scoring import SCORE
from tasks.types import Job

_IMPOSSIBLE = (
    "Only if the problem contradicts itself, so that no answer can be right, write one line instead that begins with "
    "`IMPOSSIBLE:` and quotes in backticks the words of the problem that can't hold together."
)
_CHANGED = (
    "the files that it changed, as they are now. All others are as shown above, and an edit changes the files as they "
    "are now."
)


def review(job: Job) -> str:
    """For a list of problems, each with a quote."""
    wrong = "what is wrong with it"
    nothing = "If nothing is wrong, write"
    if has_check(job, SCORE):
        wrong, nothing = (
            f"what is wrong with it or keeps its value from being {better(job)}",
            "If there is none, write",
        )
    return (
        f"# Task\nBelow is an answer to the problem above. List {wrong}, at most {BUGS} problems, "
        "the worst first. Write each on a line of its own that begins with `- `, and quote in backticks the exact "
        f"text of the answer that is wrong. Do not write a new answer. {nothing}: NO PROBLEMS"
    )


def revise(job: Job) -> str:
    """For the whole answer anew, or, where the job names its files, for those that change."""
    order = "Improve it" if has_check(job, SCORE) else "Correct it"
    ends = ": write those that you change now." if job.spec.files else " and write all of it again."
    return f"# Task\n{_introduction(job)} {order}{ends}"


def repair(job: Job) -> str:
    """For a paragraph on what is wrong, and then as `revise`."""
    asked = "First say in one short paragraph where it goes wrong and why"
    again = "corrected"
    if has_check(job, SCORE):
        asked, again = "First say in one short paragraph what is wrong with it or costs it most", "improved"
    elif not job.spec.files:
        asked += ", on the example that failed"
    whole = "" if job.spec.files else f" Then write all of it again, {again}."
    impossible = "" if has_check(job, SCORE) else f" {_IMPOSSIBLE}"
    return f"# Task\n{_introduction(job)} {asked}.{whole}{impossible}"


def tried(job: Job) -> str:
    """Introduces the plans of earlier answers."""
    if has_check(job, SCORE):
        return f"These were tried, and the value is to be {better(job)} than that of their answers"
    return "These were tried, and their answers were not right"


def escalate(job: Job) -> str:
    """For a better answer than the best ones so far."""
    if has_check(job, SCORE):
        return (
            "# Task\nBelow are answers to the problem above, and what the checks say of each. Write one of your own, "
            f"whole, whose value is {better(job)} than theirs."
        )
    return (
        "# Task\nBelow are answers to the problem above that are not right, and what the checks say of each. "
        "Find out why they fail, then write a right answer of your own, whole."
    )


def hint(job: Job) -> str:
    """For advice on the plan."""
    return (
        f"# Task\nA smaller model works on the problem above and {_fails(job)}. Advise it on the plan: which way leads "
        "to the goal, which insight or method it needs, and which trap it must avoid. It does the work itself."
    )


def hint_on_best(job: Job) -> str:
    """For advice on the best candidate so far."""
    return (
        f"# Task\nA smaller model works on the problem above and {_fails(job)}. Below is the best that it has, and "
        "what the checks say of it. Advise it: say where it goes wrong and why, and what to do instead. It does the "
        "work itself."
    )


def question(job: Job) -> str:
    """For one question to the person who posed the problem."""
    return (
        "# Task\nThe problem above is not solved yet. You may ask the person who posed it one question, and everybody "
        "who works on it will read the answer. Find out what is ambiguous in the problem or its checks, or what "
        "knowledge is missing, and ask for the one thing whose answer helps most. Ask for no solution."
    )


def _fails(job: Job) -> str:
    return f"finds no {better(job)} value" if has_check(job, SCORE) else "does not solve it"


def _introduction(job: Job) -> str:
    """What the answer that is shown is."""
    wants = f"whose value is to be {better(job)}" if has_check(job, SCORE) else "that is not right yet"
    if job.spec.files:
        return f"Below is an answer to the problem above {wants}: {_CHANGED}"
    return f"Below is an answer to the problem above {wants}."

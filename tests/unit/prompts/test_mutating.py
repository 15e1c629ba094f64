"""The prompt of a mutation: what is known of a parent, what was tried, and who else is good."""

from __future__ import annotations

import dataclasses

from tasks.prompts.build import repair, revise
from tasks.prompts.mutating import DIRECTIONS, TRIED, Change, mutate
from tasks.types import Candidate, CandidateRef, CheckSpec, FileSet, GuardKind, Job, Operator, Verdict
from tests.unit.prompts.cases import job_of

SCORE = CheckSpec(name="score:rate.py", kind="score", value={"goal": "maximise"})
DECIDES = CheckSpec(name="score:secret.py", kind="score", value={"goal": "maximise"}, held_out=True)
JOB = job_of(SCORE, DECIDES, problem="Pack the circles.")


def rated(slot: int, text: str, value: float | None, said: str = "", hidden: float | None = None) -> Candidate:
    ref = CandidateRef(iteration=1, slot=slot)
    verdicts = [
        Verdict(
            check=SCORE.name, kind="score", passed=value is not None, score=0.0, value=value, feedback=said,
            metrics={} if value is None else {"gaps": 3.0},
        )
    ]  # fmt: skip
    if hidden is not None:
        verdicts.append(
            Verdict(
                check=DECIDES.name, kind="score", passed=True, score=0.0, value=hidden, held_out=True,
                feedback="the hidden instances say", metrics={"leak": 9.0},
            )
        )  # fmt: skip
    return Candidate(ref=ref, operator=Operator.MUTATE, text=text, root=ref, verdicts=tuple(verdicts), fitness=hidden)


PARENT = rated(0, "First I pack.\n```python\nr = 0.25\n```\n", 2.5, "circle 7 has room", hidden=77.25)


def shown(change: Change, job: Job = JOB) -> str:
    return mutate(job, change)[-1].content


def test_it_shows_the_code_its_visible_value_with_metrics_and_what_the_evaluator_says() -> None:
    prompt = shown(Change(parent=PARENT))
    assert "# The answer\n```python\nr = 0.25\n```\n\n# Its value\n" in prompt
    assert "# Its value\nscore:rate.py = 2.5 (more is better), gaps = 3\ncircle 7 has room" in prompt
    assert "First I pack" not in prompt
    assert "reaches a better value" in prompt


def test_it_says_which_values_are_better() -> None:
    job = job_of(dataclasses.replace(SCORE, value={"goal": "minimise"}))
    assert "score:rate.py = 2.635983084 (less is better)" in shown(Change(parent=rated(0, "x", 2.6359830841)), job)


def test_nothing_of_a_score_that_is_held_out_is_shown() -> None:
    other = rated(1, "r = 0.3", 2.6, hidden=78.5)
    prompt = shown(Change(parent=PARENT, tried=[other], inspirations=[other]))
    for kept in ("77.25", "78.5", "secret", "leak", "hidden instances"):
        assert kept not in prompt


def test_inspirations_come_with_their_values() -> None:
    others = [rated(1, "r = 0.3", 2.625), rated(2, "import anneal", 1.125)]
    prompt = shown(Change(parent=PARENT, inspirations=others))
    assert prompt.count("# Another answer, to learn from") == 2
    assert prompt.index("2.625") < prompt.index("import anneal") < prompt.index("1.125")


def test_the_last_changes_that_were_tried_are_listed_with_what_came_of_them() -> None:
    good = [rated(n, f"# Plan: widen row {n}\nr = {n}", n / 4) for n in range(1, 7)]
    broken = rated(7, "r = = 2", None, "SyntaxError in line 1\nfar too\nlong " + "x" * 500)
    loop = dataclasses.replace(rated(8, "round and round", None, "-"), guard=GuardKind.CYCLE)
    edits = dataclasses.replace(
        rated(9, "<<<<<<< SEARCH\nnowhere\n=======\n>>>>>>> REPLACE", None, "The edits were not applied: why."),
        operator=Operator.EDIT,
    )
    section = shown(Change(parent=PARENT, tried=[*good, broken, loop, edits], number=10))
    section = section.partition("# Changes of it that were tried before\n")[2].partition("\n\n")[0]
    lines = section.splitlines()
    assert len(lines) == TRIED
    assert lines[:2] == [f"- widen row {n}: score:rate.py = {n / 4:g} (more is better), gaps = 3" for n in (5, 6)]
    assert "SyntaxError in line 1 far too long" in lines[2]
    assert len(lines[2]) < 250
    assert lines[3] == "- score:rate.py failed: The edits were not applied: why."


def test_changes_of_one_parent_are_told_different_things() -> None:
    prompts = [shown(Change(parent=PARENT, number=number)) for number in range(1, 2 * len(DIRECTIONS) + 1)]
    assert len(set(prompts)) == len(prompts)
    assert all(DIRECTIONS[number % len(DIRECTIONS)] in prompt for number, prompt in enumerate(prompts))


def test_an_answer_that_a_program_measures_ends_with_its_block() -> None:
    whole, edits = (mutate(JOB, Change(parent=PARENT, edits=edits)) for edits in (False, True))
    assert (whole.asks_block, whole.asks_code) == (True, False)
    assert not edits.asks_block
    assert whole[-1].content.endswith("Write the whole answer now, and nothing else: a program reads it.")


def test_a_repair_of_a_measured_answer_has_it_in_a_block_after_the_paragraph() -> None:
    prompt = repair(JOB, PARENT)
    assert prompt[-1].content.endswith(
        "Write the paragraph first. Then write the whole answer in one code block, and nothing after it: a program "
        "reads the block."
    )
    assert prompt.asks_block
    code = job_of(CheckSpec(name="python:t.py", kind="python", value="f(1) == 1"))
    assert not repair(code, PARENT).asks_code


def test_the_prose_around_a_measured_answer_is_shown_to_no_reviser() -> None:
    assert "# The answer\n```python\nr = 0.25\n```" in revise(JOB, PARENT, ())[-1].content
    prose = job_of(CheckSpec(name="judge:form", kind="judge", value="Is it clear?"))
    assert "First I pack." in revise(prose, PARENT, ())[-1].content


def test_edits_are_requested_with_their_form_and_no_code_block_ends_the_answer() -> None:
    code = job_of(CheckSpec(name="python:t.py", kind="python", value="f(1) == 1"))
    whole, edits = (mutate(code, Change(parent=PARENT, edits=edits)) for edits in (False, True))
    assert whole.asks_code
    assert not edits.asks_code
    assert "<<<<<<< SEARCH" in edits[-1].content
    assert "<<<<<<< SEARCH" not in whole[-1].content
    assert whole[-1].content.endswith("Write the whole solution.py now, in one Python code block, nothing else.")


def test_of_a_job_with_files_the_parent_is_shown_as_the_files_that_it_changed() -> None:
    files = FileSet(patterns=("src/**",), writable={"src/a.c": "int a;\n", "src/b.c": "int b;\n"})
    job = dataclasses.replace(JOB, spec=dataclasses.replace(JOB.spec, files=files))
    parent = rated(0, "Done.\n`src/a.c`\n```c\nint changed;\n```", 1.5)
    prompt = shown(Change(parent=parent), job)
    assert "# The answer\n````\n`src/a.c`\n```c\nint changed;\n```\n````" in prompt
    assert "Write those that you change now." in prompt
    assert prompt.endswith("Write the files now, each with its path on the line before its block.")

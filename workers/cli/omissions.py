"""What prompts left out, in words. Pure; must not know how it is printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tasks.store.summaries import CallOmission, LeftOut


def of_job(block: LeftOut) -> str:
    """What all calls of a job left out of one block."""
    most = "" if block.calls == 1 else " at most"
    return f"{block.block}: {block.left_out:,} of {block.chars:,} characters{most}, in {_calls(block.calls)}"


def by_operator(omissions: Sequence[CallOmission]) -> Iterator[str]:
    """One line for each operator and block, in the order of the calls, with the largest omission."""
    groups: dict[tuple[str, str], list[CallOmission]] = {}
    for omission in omissions:
        groups.setdefault((omission.operator, omission.block), []).append(omission)
    for (operator, block), group in groups.items():
        most, calls = max(group, key=lambda omission: omission.left_out), {_call(omission) for omission in group}
        summary = LeftOut(block=block, calls=len(calls), left_out=most.left_out, chars=most.chars)
        yield f"{operator}, {of_job(summary)}"


def by_call(omissions: Sequence[CallOmission]) -> Iterator[str]:
    """One line for each call and block, in the order of the calls."""
    for o in omissions:
        yield f"{_call(o)}: {o.block}, {o.left_out:,} of {o.chars:,} characters"


def _call(omission: CallOmission) -> str:
    vote = f" {omission.step} of {omission.check}, vote {omission.vote}" if omission.step else ""
    return f"{omission.operator} of slot {omission.slot}{vote}, attempt {omission.attempt}"


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number:,} calls"

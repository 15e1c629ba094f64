"""The parts of the confinement that need no process: the filter, the uids, the advice."""

from __future__ import annotations

import struct

import pytest

from tasks.errors import ShuttingDown
from tasks.validators import slots
from tasks.validators.obstacles import explained
from tasks.validators.runtime import unreachable
from tasks.validators.slots import unprivileged_uid
from tasks.validators.syscalls import filter_program

ALLOW, KILL, EPERM = 0x7FFF0000, 0x80000000, 0x00050001


def decided(program, arch, number):
    """What the classic BPF machine decides: enough of it for our instructions."""
    steps = [struct.unpack_from("HBBI", program, at) for at in range(0, len(program), 8)]
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, operand = steps[at]
        match code:
            case 0x20:
                accumulator = {0: number, 4: arch}[operand]
                at += 1
            case 0x15:
                at += 1 + (if_true if accumulator == operand else if_false)
            case 0x35:
                at += 1 + (if_true if accumulator >= operand else if_false)
            case 0x06:
                return operand


@pytest.mark.parametrize(
    ("machine", "arch", "memfd_create", "keyctl", "write"),
    [("x86_64", 0xC000003E, 319, 250, 1), ("aarch64", 0xC00000B7, 279, 219, 64)],
)
def test_the_filter_refuses_its_list_and_lets_the_rest_pass(machine, arch, memfd_create, keyctl, write):
    program = filter_program(machine)
    assert decided(program, arch, memfd_create) == EPERM
    assert decided(program, arch, keyctl) == EPERM
    assert decided(program, arch, write) == ALLOW
    assert decided(program, 0x40000003, write) == KILL


def test_the_second_table_of_calls_on_x86_is_refused():
    assert decided(filter_program("x86_64"), 0xC000003E, 0x40000000 | 1) == EPERM


def test_an_unknown_machine_has_no_filter():
    assert filter_program("riscv64") is None


def test_two_sandboxes_never_share_a_uid(tmp_path, pulse):
    with unprivileged_uid(tmp_path, pulse) as first, unprivileged_uid(tmp_path, pulse) as second:
        assert first != second
    with unprivileged_uid(tmp_path, pulse) as again:
        assert again == first


def test_waiting_for_a_uid_ends_when_the_step_must_stop(tmp_path, pulse):
    pulse.stop = ShuttingDown("stop")
    taken = [unprivileged_uid(tmp_path, pulse) for _ in range(slots.SLOTS)]
    for each in taken:
        each.__enter__()
    try:
        with pytest.raises(ShuttingDown), unprivileged_uid(tmp_path, pulse):
            raise AssertionError("there was none left")
    finally:
        for each in taken:
            each.__exit__(None, None, None)


def test_a_folder_that_others_may_not_pass_is_named(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert unreachable(closed / "inner") == closed


def test_the_explanation_quotes_bwrap_and_says_that_nothing_was_run():
    text = explained("bwrap: Creating new namespace failed: Operation not permitted\n", rooted=False)
    assert "Creating new namespace failed" in text
    assert "nothing a model wrote is run" in text
    assert "\n" not in text

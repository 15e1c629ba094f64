"""The parts of the confinement that need no process: the filter, the uids, the advice."""

from __future__ import annotations

import mmap
import socket
import struct

import pytest
from seccompy import syscalls

from tasks.errors import ShuttingDown
from tasks.validators import slots
from tasks.validators.folders import unreachable
from tasks.validators.obstacles import explain
from tasks.validators.slots import unprivileged_uid
from tasks.validators.syscalls import filter_program

ALLOW, KILL, EPERM, ENOSYS, EAFNOSUPPORT = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026, 0x00050061
I386 = 0x40000003


def decided(name, *arguments, arch=None, offset=0):
    """What the kernel's BPF machine decides about a call: enough of it for our instructions."""
    number = syscalls.syscall_nr(name) + offset
    data = struct.pack("<iIQ6Q", number, arch or syscalls.audit_arch(), 0, *arguments, *[0] * (6 - len(arguments)))
    program = filter_program()
    steps = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, operand = steps[at]
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x25:
                at += if_true if accumulator > operand else if_false
            case 0x05:
                at += operand
            case 0x06:
                return operand


@pytest.mark.parametrize("name", ["read", "write", "mmap", "clone", "socketpair", "fcntl", "ioctl", "futex"])
def test_the_filter_lets_ordinary_calls_pass(name):
    assert decided(name, socket.AF_UNIX) == ALLOW


@pytest.mark.parametrize("name", ["memfd_create", "shmget", "keyctl", "bpf", "ptrace", "setns", "mount", "syslog"])
def test_the_filter_forbids_its_list(name):
    assert decided(name) == EPERM


@pytest.mark.parametrize("name", ["clone3", "io_uring_setup", "splice", "vmsplice", "sendfile"])
def test_calls_with_another_way_are_said_to_be_missing(name):
    assert decided(name) == ENOSYS


@pytest.mark.parametrize("name", ["socket", "socketpair"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, 40, 38, 17, 46, 1 | 1 << 32])
def test_only_local_sockets_are_made(name, family):
    assert decided(name, family) == EAFNOSUPPORT


@pytest.mark.parametrize("upper", [0, 1 << 32])
def test_no_buffer_is_enlarged_whatever_the_upper_half_of_a_register_holds(upper):
    assert decided("setsockopt", 3, socket.SOL_SOCKET | upper, socket.SO_SNDBUF | upper) == EPERM
    assert decided("setsockopt", 3, socket.SOL_SOCKET, socket.SO_REUSEADDR) == ALLOW
    assert decided("fcntl", 3, 1031 | upper) == EPERM
    assert decided("fcntl", 3, 1032) == ALLOW


def test_shared_memory_without_a_file_and_huge_pages_are_refused():
    assert decided("mmap", 0, 4096, 3, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS) == EPERM
    assert decided("mmap", 0, 4096, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000) == EPERM
    assert decided("mmap", 0, 4096, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) == ALLOW
    assert decided("mmap", 0, 4096, 3, mmap.MAP_SHARED) == ALLOW


@pytest.mark.parametrize("bit", [17, *range(25, 31)])
def test_no_process_starts_in_a_namespace_of_its_own(bit):
    assert decided("clone", 17 | 1 << bit) == EPERM
    assert decided("clone", 17) == ALLOW


def test_other_tables_of_calls_and_newer_calls_are_refused():
    assert decided("write", arch=I386) == KILL
    assert decided("write", offset=0x40000000) == ENOSYS
    assert decided("write", offset=600) == ENOSYS


def test_two_sandboxes_never_share_a_uid(tmp_path, heartbeat):
    with unprivileged_uid(tmp_path, heartbeat) as first, unprivileged_uid(tmp_path, heartbeat) as second:
        assert first != second
    with unprivileged_uid(tmp_path, heartbeat) as again:
        assert again == first


def test_waiting_for_a_uid_ends_when_the_step_must_stop(tmp_path, heartbeat):
    heartbeat.stop = ShuttingDown("stop")
    taken = [unprivileged_uid(tmp_path, heartbeat) for _ in range(slots.SLOTS)]
    for each in taken:
        each.__enter__()
    try:
        with pytest.raises(ShuttingDown), unprivileged_uid(tmp_path, heartbeat):
            raise AssertionError("there was none left")
    finally:
        for each in taken:
            each.__exit__(None, None, None)


def test_a_folder_that_others_may_not_pass_is_named(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert unreachable(closed / "inner") == closed


def test_the_explanation_quotes_bwrap_and_says_that_nothing_was_run():
    text = explain("bwrap: Creating new namespace failed: Operation not permitted\n", as_root=False)
    assert "Creating new namespace failed" in text
    assert "no model-written code is run" in text
    assert "\n" not in text

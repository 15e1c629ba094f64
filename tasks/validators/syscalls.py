"""The system calls refused in the sandbox, as a classic BPF program for `bwrap --seccomp`.

Refused is what holds memory that no process's resident size shows (memfd, System V shared memory,
message queues), and what widens the kernel's surface with no use to a check (io_uring, bpf, keyrings,
userfaultfd, perf events, ptrace). Must not know what is run.
"""

from __future__ import annotations

import platform
import struct

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# name: (x86_64, aarch64), from the kernel's syscall tables
_REFUSED = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
}
_LOAD, _JUMP_EQUAL, _JUMP_GE, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCH_AT = 0, 4  # offsets in struct seccomp_data
_ALLOW, _KILL, _EPERM = 0x7FFF0000, 0x80000000, 0x00050000 | 1
_X32_BIT = 0x40000000  # x86-64's second table of the same calls


def filter_program(machine: str | None = None) -> bytes | None:
    """The program as an array of `struct sock_filter`; None on a machine whose call numbers we don't list."""
    machine = machine or platform.machine()
    arch = _AUDIT_ARCH.get(machine)
    if arch is None:
        return None
    numbers = [pair[0 if machine == "x86_64" else 1] for pair in _REFUSED.values()]
    count = len(numbers)
    program = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_JUMP_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),  # 32-bit calls have other numbers: the list below would not hold
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_GE, count + 1, 0, _X32_BIT),
    ]
    # Each comparison jumps over the ones after it and the `allow`, to the refusal at the end.
    program += [(_JUMP_EQUAL, count - index, 0, number) for index, number in enumerate(numbers)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EPERM)]
    return b"".join(struct.pack("HBBI", *step) for step in program)

"""The system calls refused in the sandbox, compiled by seccompy to the BPF program that `bwrap --seccomp` loads.

Refused are calls that allocate memory outside any process's resident size, that reach outside or create namespaces, and
that widen the attack surface of the kernel without use to a check. Must not know what is run.
"""

from __future__ import annotations

import errno
import functools
import platform
import socket
import struct

from seccompy import ArgCmp, CmpOp, Filter, bpf, syscalls

MACHINES = ("x86_64", "aarch64")
# Refused with EPERM.
_FORBIDDEN = (
    *("memfd_create", "memfd_secret", "shmget", "msgget", "semget", "mq_open", "io_setup"),
    *("bpf", "userfaultfd", "perf_event_open", "add_key", "request_key", "keyctl", "syslog", "seccomp"),
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp", "modify_ldt"),
    *("unshare", "setns", "chroot", "pivot_root", "mount", "umount2", "mount_setattr", "move_mount", "open_tree"),
    *("fsopen", "fsmount", "fsconfig", "fspick", "name_to_handle_at", "open_by_handle_at", "quotactl", "quotactl_fd"),
    *("fanotify_init", "inotify_init", "inotify_init1"),
    *("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"),
)
# Refused with ENOSYS: callers of these have a fallback for kernels without them. A filter can't inspect clone3's
# arguments. Calls that move pages without copying pin pages that no limit counts: a byte of each page in a pipe does.
_ABSENT = ("clone3", "io_uring_setup", "splice", "tee", "vmsplice", "sendfile")

_CLONE_NAMESPACES = (0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00020000)
_F_SETPIPE_SZ, _F_OFD_SETLK, _F_OFD_SETLKW = 1031, 37, 38  # /proc/locks names no owner of the latter's locks
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
# Socket options that make a socket hold more than the watcher counts for it: buffers, filters, pages sent in place.
_SOL_SOCKET = socket.SOL_SOCKET
_GROWING_OPTIONS = (7, 8, 26, 32, 33, 50, 51, 60)
# Pages of a shared anonymous mapping stay allocated when they are unmapped, and then count in no process's size.
_MAP_SHARED_ANONYMOUS, _MAP_HUGETLB = 0x21, 0x40000

_NUMBER_AT = 0  # in struct seccomp_data
_REFUSE_ABSENT = 0x00050000 | errno.ENOSYS


@functools.cache
def filter_program() -> bytes | None:
    """The program as an array of `struct sock_filter`; None on a machine whose calls seccompy doesn't know."""
    if platform.machine() not in MACHINES:
        return None
    return _refuse_newer_calls() + _policy().program


def _refuse_newer_calls() -> bytes:
    """Instructions that refuse calls newer than the list, and x86-64's second table of calls (x32). Execution then
    continues in the program after them, since the jumps of classic BPF are relative."""
    last = max(syscalls.syscall_nr(name) for name in _numbers())
    steps = ((bpf.BPF_LD_ABS_W, 0, 0, _NUMBER_AT), (bpf.BPF_JGT, 0, 1, last), (bpf.BPF_RET_K, 0, 0, _REFUSE_ABSENT))
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def _numbers() -> dict[str, int]:
    return syscalls.X86_64_SYSCALLS if platform.machine() == "x86_64" else syscalls.AARCH64_SYSCALLS


def _policy() -> Filter:
    policy = Filter()
    for name in _FORBIDDEN:
        if name in _numbers():  # modify_ldt and inotify_init exist only on x86
            policy.errno(name, errno.EPERM)
    for name in _ABSENT:
        policy.errno(name, errno.ENOSYS)
    _sockets(policy)
    for bits in _CLONE_NAMESPACES:
        policy.errno("clone", errno.EPERM, args=[_has(0, bits)])
    for bits in (_MAP_SHARED_ANONYMOUS, _MAP_HUGETLB):
        policy.errno("mmap", errno.EPERM, args=[_has(3, bits)])
    for command in (_F_SETPIPE_SZ, _F_OFD_SETLK, _F_OFD_SETLKW):
        policy.errno("fcntl", errno.EPERM, args=[_is(1, command)])
    for request in (_TIOCSTI, _TIOCLINUX):
        policy.errno("ioctl", errno.EPERM, args=[_is(1, request)])
    return policy


def _sockets(policy: Filter) -> None:
    """Allows only sockets of the local family, with which event loops wake themselves."""
    other = [ArgCmp(0, CmpOp.NE, socket.AF_UNIX)]
    for name in ("socket", "socketpair"):
        policy.errno(name, errno.EAFNOSUPPORT, args=other)
    for option in _GROWING_OPTIONS:
        policy.errno("setsockopt", errno.EPERM, args=[_is(1, _SOL_SOCKET), _is(2, option)])


def _is(index: int, value: int) -> ArgCmp:
    """Compares an argument as an int: the kernel ignores the upper half of the register, and so must we."""
    return ArgCmp(index, CmpOp.MASKED_EQ, value, 0xFFFFFFFF)


def _has(index: int, bits: int) -> ArgCmp:
    return ArgCmp(index, CmpOp.MASKED_EQ, bits, bits)

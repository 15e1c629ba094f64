"""The command line that confines a program: bwrap's mounts and namespaces, and the limits set inside them.

Pure but for a look at how this system lays out /bin and /lib. Must not know how processes are started.
"""

from __future__ import annotations

import math
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import SandboxUnavailable
from tasks.validators.runtime import Runtime

HOME = "/home/job"
MOUNTED_AT = "/opt/redraft"  # the runtime, inside
PACKAGES_AT = "/opt/redraft-runtime"  # a named runtime's packages, on Python's path
EXCHANGE = "/exchange"  # what two joined sandboxes both write into
TEMPORARY = (HOME, "/tmp", "/dev/shm")  # noqa: S108 - names inside the sandbox
SANDBOX_UID = 65534
# Enough for test data; what is in them counts as memory, so they need not be small.
TEMPORARY_BYTES = 64 * 2**20
FILE_BYTES = 16 * 2**20
FILES = 4096
OPEN_FILES = 128
SIGNALS = 1024  # queued ones and timers, which the kernel holds
# RLIMIT_NPROC stands a little above what the watcher allows: the watcher's kill names the limit, while
# a fork that fails at once would leave a bomb spinning until its wall limit.
PROCESS_HEADROOM = 16
# Address space is no measure of memory (thread stacks, arenas): this only stops one absurd allocation
# at once, which the watcher would see one poll later.
ADDRESS_SPACE_FACTOR, ADDRESS_SPACE_EXTRA_BYTES = 2, 2**30

# What of the machine's own a /proc of a sandbox would still show: its boot parameters, kernel, keys and disks.
_MASKED = ("cmdline", "config.gz", "diskstats", "kallsyms", "key-users", "keys", "modules", "partitions")

# Numeric libraries start a thread for each core of the machine: they are no part of the candidate's share.
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

_PASSWD = b"sandbox:x:65534:65534::/home/job:/bin/sh\n"
_GROUP = b"sandbox:x:65534:\n"
_HOSTS = b"127.0.0.1 localhost\n::1 localhost\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A file to place read-only at `path` inside; `handle` is the descriptor that bwrap reads it from."""

    path: str
    handle: int


def system_files() -> dict[str, bytes]:
    """The few files of /etc that programs look for."""
    return {"/etc/passwd": _PASSWD, "/etc/group": _GROUP, "/etc/hosts": _HOSTS}


def confined(
    runtime: Runtime,
    argv: tuple[str, ...],
    *,
    placed: list[Placed],
    memory_bytes: int,
    timeout_seconds: float,
    processes: int,
    status_handle: int,
    filter_handle: int | None,
    uid: int | None,
    exchange: Path | None = None,
) -> list[str]:
    """The whole command. `uid` is whom root becomes before anything else, None for an ordinary user.
    `exchange` is the folder here that is `EXCHANGE` inside.

    Raises `SandboxUnavailable` where a program it needs is missing.
    """
    command = []
    if uid is not None:
        command = [_program("setpriv"), f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", "--"]
    command += [str(runtime.bwrap), "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
    command += ["--new-session", "--cap-drop", "ALL", "--uid", str(SANDBOX_UID), "--gid", str(SANDBOX_UID)]
    command += ["--hostname", "sandbox", "--json-status-fd", str(status_handle)]
    command += ["--clearenv", *_system_mounts(), "--ro-bind", str(runtime.root), MOUNTED_AT, *_private_mounts()]
    if runtime.packages is not None:
        command += ["--ro-bind", str(runtime.packages), PACKAGES_AT]
    if exchange is not None:
        command += ["--bind", str(exchange), EXCHANGE, "--setenv", "TMPDIR", EXCHANGE]
    for file in placed:
        command += ["--perms", "0555", "--ro-bind-data", str(file.handle), file.path]
    # /dev and the root are temporary file systems of their own: left writable, nothing would bound them.
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", HOME]
    for name, value in _environment(packages=runtime.packages is not None).items():
        command += ["--setenv", name, value]
    if filter_handle is not None:
        command += ["--seccomp", str(filter_handle)]
    return [*command, "--", *_limits(memory_bytes, timeout_seconds, processes, rooted=uid is not None), *argv]


def _system_mounts() -> list[str]:
    mounts = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        place = Path("/") / name
        if place.is_symlink():
            mounts += ["--symlink", str(place.readlink()), str(place)]
        elif place.is_dir():
            mounts += ["--ro-bind", str(place), str(place)]
    for hidden in ("/usr/local", "/usr/src"):  # where people keep what is theirs
        if Path(hidden).is_dir() and not Path(hidden).is_symlink():
            mounts += ["--tmpfs", hidden, "--remount-ro", hidden]
    for wanted in ("/etc/ld.so.cache", "/etc/alternatives"):
        mounts += ["--ro-bind-try", wanted, wanted]
    return mounts


def _private_mounts() -> list[str]:
    mounts = ["--proc", "/proc", "--dev", "/dev"]
    # The namespace's first process is bwrap: under the program's uid, so its memory, and the exit code that it passes
    # on, could be changed through there.
    mounts += ["--tmpfs", "/proc/1", "--remount-ro", "/proc/1"]
    for name in _MASKED:
        if (Path("/proc") / name).exists():
            mounts += ["--ro-bind", "/dev/null", f"/proc/{name}"]
    # Pages mapped from /dev/zero and what lies in terminals' buffers is in no process's size. /dev/full reads alike.
    mounts += ["--dev-bind", "/dev/full", "/dev/zero", "--tmpfs", "/dev/pts", "--remount-ro", "/dev/pts"]
    for place in TEMPORARY:
        mounts += ["--size", str(TEMPORARY_BYTES), "--perms", "0700", "--tmpfs", place]
    return mounts


def _environment(*, packages: bool) -> dict[str, str]:
    environment = {
        "HOME": HOME,
        "PATH": f"{MOUNTED_AT}/python/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "LD_LIBRARY_PATH": f"{MOUNTED_AT}/python/lib",  # a shared libpython, away from its compiled-in place
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # the same candidate gets the same verdict: order of sets included
    }
    if packages:
        environment |= {"PYTHONPATH": PACKAGES_AT, **dict.fromkeys(_THREADS, "1")}
    return environment


def _limits(memory_bytes: int, timeout_seconds: float, processes: int, *, rooted: bool) -> list[str]:
    cpu = math.ceil(timeout_seconds) + 1
    address_space = memory_bytes * ADDRESS_SPACE_FACTOR + ADDRESS_SPACE_EXTRA_BYTES
    limits = [f"--cpu={cpu}", f"--as={address_space}", f"--fsize={FILE_BYTES}", f"--nofile={OPEN_FILES}"]
    limits += ["--core=0", "--stack=8388608", "--memlock=65536", "--msgqueue=0", "--rtprio=0"]
    if rooted or _counts_processes_by_namespace():
        limits += [f"--nproc={processes + PROCESS_HEADROOM}", f"--sigpending={SIGNALS}"]
    return [_program("prlimit"), *limits, "--"]


def _counts_processes_by_namespace() -> bool:
    """Since Linux 5.14 RLIMIT_NPROC counts within the user namespace; before, over all of the user's
    processes on the machine, so that a busy user could start nothing here. The watcher counts anyway."""
    release = platform.release().split(".")
    return (int(release[0]), int("".join(filter(str.isdigit, release[1])) or 0)) >= (5, 14)


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if found is None:
        raise SandboxUnavailable(f"the program {name} is missing: install the package util-linux")
    return found

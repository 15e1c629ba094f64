"""The command line that confines a program: bwrap's mounts and namespaces, and the limits set inside them.

Pure except that it reads how this system lays out /bin and /lib. Must not know how processes are started.
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
RUNTIME_MOUNT = "/opt/redraft"  # the runtime, inside
PACKAGES_MOUNT = "/opt/redraft-runtime"  # a named runtime's packages, on Python's path
EXCHANGE = "/exchange"  # the folder that two joined sandboxes share
TEMPORARY = (HOME, "/tmp", "/dev/shm")  # noqa: S108 - names inside the sandbox
SANDBOX_UID = 65534
# Enough for test data. Their contents count as memory, so they need not be small.
TEMPORARY_BYTES = 64 * 2**20
FILE_BYTES = 16 * 2**20
FILES = 4096
OPEN_FILES = 128
SIGNALS = 1024  # queued signals and timers, which take kernel memory
# RLIMIT_NPROC is a little above the watcher's limit: the watcher kills and names the limit, while a fork bomb whose
# forks merely failed would spin until its wall limit.
PROCESS_HEADROOM = 16
# Address space is no measure of memory (thread stacks, arenas): this limit only stops one absurd allocation at once,
# which the watcher would notice only at its next check.
ADDRESS_SPACE_FACTOR, ADDRESS_SPACE_EXTRA_BYTES = 2, 2**30

# Files of a sandbox's /proc that would reveal the machine's boot parameters, kernel, keys and disks.
_MASKED = ("cmdline", "config.gz", "diskstats", "kallsyms", "key-users", "keys", "modules", "partitions")

# Numeric libraries start a thread for each core of the machine, more than the candidate's limit allows.
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

_PASSWD = b"sandbox:x:65534:65534::/home/job:/bin/sh\n"
_GROUP = b"sandbox:x:65534:\n"
_HOSTS = b"127.0.0.1 localhost\n::1 localhost\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedFile:
    """A file that appears read-only at `path` inside; bwrap reads it from the descriptor `fd`."""

    path: str
    fd: int


def system_files() -> dict[str, bytes]:
    """The few files of /etc that programs need."""
    return {"/etc/passwd": _PASSWD, "/etc/group": _GROUP, "/etc/hosts": _HOSTS}


def confined(
    runtime: Runtime,
    argv: tuple[str, ...],
    *,
    mounted: list[MountedFile],
    memory_bytes: int,
    timeout_seconds: float,
    processes: int,
    status_fd: int,
    filter_fd: int | None,
    uid: int | None,
    exchange: Path | None = None,
) -> list[str]:
    """The whole command line. Root first switches to `uid`; it is None for an ordinary user. `exchange` is the host's
    folder that is mounted at `EXCHANGE`.

    Raises `SandboxUnavailable` where a required program is missing.
    """
    command = []
    if uid is not None:
        command = [_program("setpriv"), f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", "--"]
    command += [str(runtime.bwrap), "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
    command += ["--new-session", "--cap-drop", "ALL", "--uid", str(SANDBOX_UID), "--gid", str(SANDBOX_UID)]
    command += ["--hostname", "sandbox", "--json-status-fd", str(status_fd)]
    command += ["--clearenv", *_system_mounts(), "--ro-bind", str(runtime.root), RUNTIME_MOUNT, *_private_mounts()]
    if runtime.packages is not None:
        command += ["--ro-bind", str(runtime.packages), PACKAGES_MOUNT]
    if exchange is not None:
        command += ["--bind", str(exchange), EXCHANGE, "--setenv", "TMPDIR", EXCHANGE]
    for file in mounted:
        command += ["--perms", "0555", "--ro-bind-data", str(file.fd), file.path]
    # /dev and / are temporary file systems of their own: if they stayed writable, nothing would limit them.
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", HOME]
    for name, value in _environment(packages=runtime.packages is not None).items():
        command += ["--setenv", name, value]
    if filter_fd is not None:
        command += ["--seccomp", str(filter_fd)]
    return [*command, "--", *_limits(memory_bytes, timeout_seconds, processes, as_root=uid is not None), *argv]


def _system_mounts() -> list[str]:
    mounts = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/") / name
        if path.is_symlink():
            mounts += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            mounts += ["--ro-bind", str(path), str(path)]
    for hidden in ("/usr/local", "/usr/src"):  # where people keep their own files
        if Path(hidden).is_dir() and not Path(hidden).is_symlink():
            mounts += ["--tmpfs", hidden, "--remount-ro", hidden]
    for file in ("/etc/ld.so.cache", "/etc/alternatives"):
        mounts += ["--ro-bind-try", file, file]
    return mounts


def _private_mounts() -> list[str]:
    mounts = ["--proc", "/proc", "--dev", "/dev"]
    # The namespace's first process is bwrap under the program's own uid: through /proc/1 the program could change its
    # memory, and so the exit code that it passes on.
    mounts += ["--tmpfs", "/proc/1", "--remount-ro", "/proc/1"]
    for name in _MASKED:
        if (Path("/proc") / name).exists():
            mounts += ["--ro-bind", "/dev/null", f"/proc/{name}"]
    # Pages mapped from /dev/zero and terminal buffers count in no process's size. Reading /dev/full gives zeros, too.
    mounts += ["--dev-bind", "/dev/full", "/dev/zero", "--tmpfs", "/dev/pts", "--remount-ro", "/dev/pts"]
    for path in TEMPORARY:
        mounts += ["--size", str(TEMPORARY_BYTES), "--perms", "0700", "--tmpfs", path]
    return mounts


def _environment(*, packages: bool) -> dict[str, str]:
    environment = {
        "HOME": HOME,
        "PATH": f"{RUNTIME_MOUNT}/python/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "LD_LIBRARY_PATH": f"{RUNTIME_MOUNT}/python/lib",  # for a shared libpython outside its compiled-in path
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",  # fixes the order of sets, so that the same candidate gets the same verdict
    }
    if packages:
        environment |= {"PYTHONPATH": PACKAGES_MOUNT, **dict.fromkeys(_THREADS, "1")}
    return environment


def _limits(memory_bytes: int, timeout_seconds: float, processes: int, *, as_root: bool) -> list[str]:
    cpu = math.ceil(timeout_seconds) + 1
    address_space = memory_bytes * ADDRESS_SPACE_FACTOR + ADDRESS_SPACE_EXTRA_BYTES
    limits = [f"--cpu={cpu}", f"--as={address_space}", f"--fsize={FILE_BYTES}", f"--nofile={OPEN_FILES}"]
    limits += ["--core=0", "--stack=8388608", "--memlock=65536", "--msgqueue=0", "--rtprio=0"]
    if as_root or _counts_processes_by_namespace():
        limits += [f"--nproc={processes + PROCESS_HEADROOM}", f"--sigpending={SIGNALS}"]
    return [_program("prlimit"), *limits, "--"]


def _counts_processes_by_namespace() -> bool:
    """Since Linux 5.14 RLIMIT_NPROC counts within the user namespace. Before, it counted all processes of the user on
    the machine, so that a busy user could start nothing here. The watcher counts in any case."""
    release = platform.release().split(".")
    return (int(release[0]), int("".join(filter(str.isdigit, release[1])) or 0)) >= (5, 14)


def _program(name: str) -> str:
    path = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if path is None:
        raise SandboxUnavailable(f"the program {name} is missing: install the package util-linux")
    return path

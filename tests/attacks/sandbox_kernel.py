"""Attacks by system calls: namespaces, privileges, other processes' memory, what the kernel offers beyond files."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from seccompy import syscalls

from tasks.validators.sandbox import BubblewrapSandbox
from tests.attacks.attack import Attack
from tests.attacks.hostile import dies_of, refused

AREA = "sandbox"
# A call and the arguments of one that would succeed, or get as far as the kernel's own checks.
CALLS = {
    "keyctl": (0, -3, 0),
    "add_key": (0, 0, 0, 0, -3),
    "request_key": (0, 0, 0, 0),
    "io_uring_setup": (4, 0),
    "io_setup": (8, 0),
    "bpf": (0, 0, 0),
    "perf_event_open": (0, 0, -1, -1, 0),
    "userfaultfd": (1,),
    "memfd_create": (0, 0),
    "memfd_secret": (0,),
    "shmget": (0, 2**28, 0o1600),
    "msgget": (0, 0o1600),
    "semget": (0, 1, 0o1600),
    "mq_open": (0, 0o100, 0o600, 0),
    "ptrace": (16, 1, 0, 0),
    "process_vm_readv": (1, 0, 0, 0, 0, 0),
    "process_vm_writev": (1, 0, 0, 0, 0, 0),
    "process_madvise": (0, 0, 0, 0, 0),
    "pidfd_getfd": (0, 0, 0),
    "kcmp": (1, 1, 0, 0, 0),
    "modify_ldt": (0, 0, 0),
    "setns": (0, 0),
    "chroot": (0,),
    "pivot_root": (0, 0),
    "umount2": (0, 2),
    "open_tree": (-100, 0, 1),
    "fsopen": (0, 0),
    "move_mount": (-100, 0, -100, 0, 0),
    "mount_setattr": (-100, 0, 0, 0, 0),
    "name_to_handle_at": (-100, 0, 0, 0, 0),
    "open_by_handle_at": (-100, 0, 0),
    "fanotify_init": (0, 0),
    "inotify_init1": (0,),
    "landlock_create_ruleset": (0, 0, 1),
    "syslog": (3, 0, 0),
    "seccomp": (0, 0, 0),
    "clone3": (0, 0),
    "vmsplice": (1, 0, 0, 0),
    "splice": (0, 0, 1, 0, 0, 0),
    "tee": (0, 1, 0, 0),
    "reboot": (0xFEE1DEAD, 672274793, 0, 0),
    "init_module": (0, 0, 0),
    "finit_module": (0, 0, 0),
    "kexec_load": (0, 0, 0, 0),
    "swapon": (0, 0),
    "acct": (0,),
    "sethostname": (0, 0),
    "settimeofday": (0, 0),
    "iopl": (3,),
    "ioperm": (0x80, 1, 1),
    "quotactl": (0, 0, 0, 0),
    "vhangup": (),
    "lookup_dcookie": (0, 0, 0),
}
FLAGS = {
    "user": 0x10000000,
    "mount": 0x00020000,
    "network": 0x40000000,
    "process": 0x20000000,
    "name": 0x04000000,
    "ipc": 0x08000000,
    "cgroup": 0x02000000,
    "time": 0x00000080,
}
# x86's other doors to the same kernel: `mov eax, 20; int 0x80; ret` is getpid in the 32-bit table.
INT80 = """
import mmap
code = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
code.write(bytes.fromhex("b814000000cd80c3"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
"""
PRIVILEGES = {
    "become root": "attempt(lambda: os.setuid(0), 'setuid')\nattempt(lambda: os.setresuid(0, 0, 0), 'setresuid')",
    "become the host's uid": "for uid in (61000, 60999, 1000): attempt(lambda: os.setuid(uid), 'setuid')",
    "join root's groups": "attempt(lambda: os.setgroups([0]), 'setgroups')\nattempt(lambda: os.setgid(0), 'setgid')",
    "hold a capability": """
        status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
        for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
            if int(status[name], 16): through(name + status[name])
        if status["NoNewPrivs"].strip() != "1": through("new privileges are allowed")""",
    "run a program with the set-uid bit": """
        import shutil
        for name in ("su", "mount", "passwd", "newgrp"):
            if (path := shutil.which(name)) and os.statvfs(path).f_flag & os.ST_NOSUID == 0: through(path)""",
    "make a set-uid program": """
        import shutil, subprocess
        shutil.copy("/bin/sh", "/tmp/sh"); os.chmod("/tmp/sh", 0o6755)
        said = subprocess.run(["/tmp/sh", "-c", "id -u"], capture_output=True, text=True).stdout.strip()
        if said != str(os.getuid()): through(said)""",
    "make a device": "attempt(lambda: os.mknod('/tmp/d', 0o20666, os.makedev(1, 1)), 'the memory of the machine')",
    "raise a hard limit": """
        import resource
        for name in ("NOFILE", "NPROC", "AS", "FSIZE", "MEMLOCK", "CORE", "CPU", "RTPRIO"):
            limit = getattr(resource, "RLIMIT_" + name)
            hard = resource.getrlimit(limit)[1]
            if hard == resource.RLIM_INFINITY: through(name + " is unlimited")
            attempt(lambda: resource.setrlimit(limit, (hard + 1, hard + 1)), name)""",
    "run before others": """
        attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, -20), "nice")
        attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)), "real time")""",
    "be spared when memory runs out": """
        attempt(lambda: os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY), b"-1000"), "oom_score_adj")""",
    "lock memory": """
        for size in (2**26,):
            pages = ctypes.create_string_buffer(size)
            if libc.mlock(pages, ctypes.c_size_t(size)) == 0: through("mlock")
        if libc.mlockall(3) == 0: through("mlockall")""",
    "type into a terminal": """
        import fcntl
        attempt(lambda: fcntl.ioctl(0, 0x5412, b"x"), "TIOCSTI")
        attempt(lambda: os.open("/dev/tty", os.O_RDWR), "a terminal")
        attempt(os.openpty, "a pseudo-terminal")""",
}


def attacks(sandbox: BubblewrapSandbox) -> Iterator[Attack]:
    """Every call of the list, each namespace, each privilege."""
    for name, arguments in CALLS.items():
        if name in _known():
            source = f"call({syscalls.syscall_nr(name)}, {', '.join(map(str, arguments))})"
            yield Attack(area=AREA, name=f"the call {name}", attempt=refused(sandbox, source))
    yield from _namespaces(sandbox)
    for name, source in PRIVILEGES.items():
        yield Attack(area=AREA, name=name, attempt=refused(sandbox, source))
    later = f"call({max(_known().values()) + 1})\ncall(100000)"
    yield Attack(area=AREA, name="a call of a later kernel", attempt=refused(sandbox, later))
    if platform.machine() == "x86_64":
        x32 = f"call({0x40000000 | syscalls.syscall_nr('socket')}, 2, 1, 0)\ncall({0x40000000 | 512 + 15}, 0, 0, 0, 0)"
        yield Attack(area=AREA, name="a call of x32", attempt=refused(sandbox, x32))
        yield Attack(area=AREA, name="a 32-bit call", attempt=dies_of(sandbox, INT80, 128 + 31))


def _namespaces(sandbox: BubblewrapSandbox) -> Iterator[Attack]:
    for name, bit in FLAGS.items():
        source = f"call({syscalls.syscall_nr('unshare')}, {bit})"
        yield Attack(area=AREA, name=f"a {name} namespace by unshare", attempt=refused(sandbox, source))
        if name != "time":  # its bit is part of the signal there
            source = f"call({syscalls.syscall_nr('clone')}, {bit | 17}, 0, 0, 0, 0)"
            yield Attack(area=AREA, name=f"a {name} namespace by clone", attempt=refused(sandbox, source))
    mounts = """
        for kind in (b"tmpfs", b"proc", b"overlay", b"sysfs"):
            if libc.mount(b"none", b"/tmp", kind, 0, None) == 0: through(kind)
        if libc.mount(b"none", b"/usr", None, 32 | 4096, None) == 0: through("remount")
        if libc.mount(b"/", b"/tmp", None, 4096, None) == 0: through("bind")"""
    yield Attack(area=AREA, name="mounts", attempt=refused(sandbox, mounts))
    entered = """
        for pid in (1, os.getppid()):
            for name in ("user", "mnt", "net", "pid"):
                try: handle = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
                except OSError: continue
                if libc.setns(handle, 0) == 0: through(name)"""
    yield Attack(area=AREA, name="another process's namespaces", attempt=refused(sandbox, entered))


def _known() -> dict[str, int]:
    return syscalls.X86_64_SYSCALLS if platform.machine() == "x86_64" else syscalls.AARCH64_SYSCALLS

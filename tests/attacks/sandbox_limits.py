"""Attacks by using things up: memory by each way, processes, files, output, time; and by outliving the program."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from seccompy import syscalls

from tasks.validators.sandbox import BubblewrapSandbox
from tests.attacks.attack import Attack
from tests.attacks.hostile import ended, refused

AREA = "sandbox"
SMALL = {"memory_mb": 128, "timeout_seconds": 10.0}
# Held long enough for a look at it, by a watcher that shares a busy machine with sixty of these programs; one that met
# a wall says so and how much it holds.
HOLD = """
def hold(megabytes):
    import time
    refused = megabytes < 100
    print("REFUSED at" if refused else "HELD", megabytes, "MB", flush=True)
    time.sleep(0.4 if refused else 3)
"""
SOCKETS = """
import socket
held, kept = 0, []
try:
    for _ in range(60):
        for end in socket.socketpair(socket.AF_UNIX, {kind}):
            kept.append(end); end.setblocking(False)
            try:
                while True: held += end.send(b"x" * {size})
            except BlockingIOError: pass
except OSError: pass
"""
# Each alone is under no limit of resident memory.
MEMORY = {
    "the heap": "kept = []\nwhile True: kept.append(bytearray(2**22))",
    "the heap of many processes": """
        for _ in range(6): os.fork()
        kept = [bytearray(2**22) for _ in range(10)]
        hold(40 * 64)""",
    "shared memory without a file": """
        import mmap
        kept = []
        try:
            while len(kept) < 100:
                kept.append(mmap.mmap(-1, 2**22)); kept[-1].write(b"x" * 2**22); kept[-1].madvise(mmap.MADV_DONTNEED)
        except OSError: pass
        hold(4 * len(kept))""",
    "pages of /dev/zero": """
        import mmap
        kept = []
        try:
            for _ in range(50):
                kept.append(mmap.mmap(os.open("/dev/zero", os.O_RDWR), 2**22)); kept[-1].write(b"x" * 2**22)
        except OSError: pass
        hold(4 * len(kept))""",
    "temporary files": """
        for number in range(24):
            place = ("/tmp", "/home/job", "/dev/shm")[number % 3]
            open(f"{place}/{number}", "wb").write(b"x" * 2**23)
        hold(24 * 8)""",
    "files that have no name any more": """
        kept = []
        for number in range(24):
            place = ("/tmp", "/home/job", "/dev/shm")[number % 3]
            kept.append(open(f"{place}/x", "wb", buffering=0)); kept[-1].write(b"x" * 2**23); os.remove(kept[-1].name)
        hold(24 * 8)""",
    "pipes of many processes": """
        for _ in range(5): os.fork()
        held = 0
        for _ in range(55):
            _, end = os.pipe(); os.set_blocking(end, False)
            try:
                while True: held += os.write(end, b"x" * 65536)
            except BlockingIOError: pass
        hold(held * 32 >> 20)""",
    "a large pipe": """
        import fcntl
        held, kept = 0, []
        for _ in range(60):
            ends = os.pipe(); os.set_blocking(ends[1], False)
            try: fcntl.fcntl(ends[1], 1031, 2**20)
            except OSError: break
            kept.append(ends)
        hold(len(kept))""",
    "stream sockets": SOCKETS.format(kind="socket.SOCK_STREAM", size=65536) + "hold(held >> 20)",
    "datagram sockets": SOCKETS.format(kind="socket.SOCK_DGRAM", size=200_000) + "hold(held >> 20)",
    "packet sockets": SOCKETS.format(kind="socket.SOCK_SEQPACKET", size=4096) + "hold(held >> 20)",
    "one byte a message": SOCKETS.format(kind="socket.SOCK_STREAM", size=1) + "hold(held * 800 >> 20)",
    "sockets of many processes": "for _ in range(3): os.fork()\n"
    + SOCKETS.format(kind="socket.SOCK_STREAM", size=65536)
    + "hold(8 * held >> 20)",
    "sockets in flight": """
        import socket
        a, b = socket.socketpair()
        sent = 0
        try:
            for _ in range(500):
                ends = socket.socketpair()
                for end in ends: end.setblocking(False)
                try: ends[0].send(b"x" * 200_000)
                except BlockingIOError: pass
                socket.send_fds(a, [b"x"], [end.fileno() for end in ends]); sent += 2
                for end in ends: end.close()
        except OSError: pass
        hold(sent * 400 >> 10)""",
    "page tables": """
        import mmap
        for _ in range(61):
            if os.fork() == 0: break
        large = mmap.mmap(-1, 1100 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
        for offset in range(0, 1100 << 20, 2 << 20): large[offset]
        hold(140)""",
    "huge pages": """
        import mmap
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000
        try: large = mmap.mmap(-1, 2**28, flags=flags); hold(256)
        except OSError as error: hold(0 if error.errno == 1 else 100)""",
    "pseudo-terminals": """
        kept = []
        try:
            while len(kept) < 40: kept.append(os.openpty())
        except OSError: pass
        hold(len(kept) * 5)""",
}
REFUSED_OPTIONS = """
import socket
a, b = socket.socketpair()
for option in (7, 8, 32, 33):
    attempt(lambda: a.setsockopt(socket.SOL_SOCKET, option, 2**24), option)
attempt(lambda: a.setsockopt(socket.SOL_SOCKET, 26, b"\\0" * 16), "a filter")
call({setsockopt}, a.fileno(), 1 | 1 << 32, 7 | 1 << 32, 0, 4)
"""
ENTRIES = {
    "many small files": "for number in range(20_000): open(f'/tmp/{number}', 'w').close()\nimport time; time.sleep(3)",
    "many folders": "for number in range(20_000): os.mkdir(f'/tmp/{number}')\nimport time; time.sleep(3)",
    "many links": """
        open("/tmp/x", "w").close()
        for number in range(20_000): os.link("/tmp/x", f"/tmp/{number}")
        import time; time.sleep(3)""",
    "attributes of a file": """
        open("/tmp/x", "w").close()
        try:
            for number in range(60_000): os.setxattr("/tmp/x", f"user.{number}", b"x" * 1000)
        except OSError: print("REFUSED", number)
        import time; time.sleep(3)""",
    "locks on parts of files": """
        import fcntl, time
        kept = [open(f"/tmp/{number}", "wb") for number in range(60)]
        for file in kept:
            for start in range(0, 4000, 2): fcntl.lockf(file, fcntl.LOCK_EX, 1, start)
        time.sleep(3)""",
    "watches of epoll": """
        import select, time
        reader, _ = os.pipe()
        kept = [select.epoll() for _ in range(60)]
        for number in range(70, 126):
            os.dup2(reader, number)
            for one in kept: one.register(number)
        for number in range(70, 126): os.close(number)
        reader, writer = os.pipe()
        for number in range(70, 126):
            os.dup2(writer, number)
            for one in kept: one.register(number)
        time.sleep(3)""",
}
PROCESSES = {
    # One that is refused a process and ends by itself is no measure of the limit.
    "a fork bomb": """
        while True:
            try: os.fork()
            except OSError: pass""",
    "a bomb of programs": """
        import subprocess, time
        try:
            while True: subprocess.Popen(["sleep", "30"])
        except OSError: print("REFUSED"); time.sleep(0.2)""",
    "a bomb of orphans": """
        import time
        try:
            while True:
                if os.fork() == 0:
                    os.setsid()
                    if os.fork(): os._exit(0)
        except OSError: print("REFUSED"); time.sleep(0.2)""",
    "threads": "import threading, time\nfor _ in range(500): threading.Thread(target=time.sleep, args=(30,)).start()",
}
OUTPUT = {
    "standard output": "while True: os.write(1, b'x' * 65536)",
    "standard error": "while True: os.write(2, b'y\\n' * 4096)",
    "the report": "while True: os.write(7, b'z' * 65536)",
}
TIME = {
    "a sleep": "import time\ntime.sleep(1000)",
    "a sleep that ignores signals": """
        import signal, time
        for number in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(number, signal.SIG_IGN)
        time.sleep(1000)""",
    "a stopped program": "import signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "a loop": "while True: pass",
    "loops in four processes": "for _ in range(2): os.fork()\nwhile True: pass",
    "a read of its input without end": "import time\nwhile True: sys.stdin.read(); time.sleep(0.01)",
}
SURVIVORS = {
    "a daemon": """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                import time
                for handle in range(3): os.close(handle)
                time.sleep(60)
            os._exit(0)""",
    "a stopped daemon": """
        import signal
        if os.fork() == 0:
            os.setsid(); os.kill(os.getpid(), signal.SIGSTOP)""",
    "one that holds the output": "if os.fork() == 0:\n    import time\n    os.setsid(); time.sleep(60)",
    "one that goes on writing": "if os.fork() == 0:\n    os.setsid()\n    while True: os.write(2, b'x' * 65536)",
    "one that ignores signals": """
        import signal, time
        if os.fork() == 0:
            for number in set(range(1, 65)) - {9, 19, 32, 33}: signal.signal(number, signal.SIG_IGN)
            time.sleep(60)""",
    "sixty that wait": "import time\nfor _ in range(50):\n    if os.fork() == 0: time.sleep(60)",
}


def attacks(sandbox: BubblewrapSandbox) -> Iterator[Attack]:
    """Everything that a machine has only so much of."""
    yield from _ended(sandbox, "memory by", MEMORY, "memory", prelude=HOLD, **SMALL)
    options = REFUSED_OPTIONS.format(setsockopt=syscalls.syscall_nr("setsockopt"))
    yield Attack(area=AREA, name="a larger buffer of a socket", attempt=refused(sandbox, options))
    sent = f"call({syscalls.syscall_nr('sendfile')}, 1, 0, 0, 1)"
    yield Attack(area=AREA, name="pages sent in place", attempt=refused(sandbox, sent))
    yield from _ended(sandbox, "entries:", ENTRIES, "files", "memory", **SMALL)
    yield from _ended(sandbox, "processes:", PROCESSES, "processes", timeout_seconds=15.0)
    yield from _ended(sandbox, "output:", OUTPUT, "output", report_fd=7, timeout_seconds=15.0)
    yield from _ended(sandbox, "time:", TIME, "wall", "cpu", timeout_seconds=0.7)
    large = "try: open('/tmp/x', 'wb').write(b'x' * 2**26); through('64 MB')\nexcept OSError: pass"
    yield Attack(area=AREA, name="a large file", attempt=refused(sandbox, large))
    fill = "try:\n    for number in range(100): open(f'/tmp/{number}', 'wb').write(b'x' * 2**23)\n"
    fill += "except OSError: print('REFUSED')"
    yield Attack(area=AREA, name="a full disk", attempt=ended(sandbox, fill, "memory"))
    signals = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [40])\nsent = 0\n"
    signals += "while sent < 100_000 and libc.sigqueue(os.getpid(), 40, None) == 0: sent += 1\n"
    signals += "if sent == 100_000: through('signals')"
    yield Attack(area=AREA, name="queued signals", attempt=refused(sandbox, signals))
    for name, source in SURVIVORS.items():
        yield Attack(area=AREA, name=f"outlive the program: {name}", attempt=refused(sandbox, source))


def _ended(
    sandbox: BubblewrapSandbox, what: str, sources: Mapping[str, str], *limits: str, prelude: str = "", **fields: object
) -> Iterator[Attack]:
    for name, source in sources.items():
        program = prelude + textwrap.dedent(source)
        yield Attack(area=AREA, name=f"{what} {name}", attempt=ended(sandbox, program, *limits, **fields))

"""Memory that the kernel holds for a program, beside that of its processes, is under the same limit."""

from __future__ import annotations

import textwrap

import pytest

from tests.integration.sandbox.programs import run

pytestmark = pytest.mark.integration


def ran(sandbox, source, **fields):
    return run(sandbox, textwrap.dedent(source), **{"memory_mb": 96, **fields})


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET"])
def test_sockets_count_as_full(sandbox, kind):
    source = f"""
        import os, socket, time
        for _ in range(5):
            if os.fork() == 0: break
        kept = [socket.socketpair(socket.AF_UNIX, socket.{kind}) for _ in range(50)]
        time.sleep(30)"""
    assert ran(sandbox, source).killed == "memory"


def test_sockets_that_no_process_holds_count_too(sandbox):
    source = """
        import socket, time
        a, b = socket.socketpair()
        try:
            while True:
                ends = socket.socketpair()
                socket.send_fds(a, [b"x"], [end.fileno() for end in ends])
                for end in ends: end.close()
        except OSError: time.sleep(30)"""
    assert ran(sandbox, source, memory_mb=48).killed == "memory"


def test_pipes_count_as_full(sandbox):
    source = """
        import os, time
        for _ in range(40):
            if os.fork() == 0: break
        kept = [os.pipe() for _ in range(55)]
        time.sleep(30)"""
    assert ran(sandbox, source).killed == "memory"


def test_an_event_loop_for_each_of_some_threads_stays_below(sandbox):
    source = """
        import asyncio, threading
        everybody = threading.Barrier(20)
        def loop():
            asyncio.run(asyncio.sleep(0.2)); everybody.wait()
        threads = [threading.Thread(target=loop) for _ in range(20)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print("fine")"""
    assert ran(sandbox, source).stdout == "fine\n"


def test_page_tables_count(sandbox):
    source = """
        import mmap, os, time
        for _ in range(60):
            if os.fork() == 0: break
        size = 1000 << 20
        large = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
        for offset in range(0, size, 2 << 20): large[offset]
        time.sleep(30)"""
    assert ran(sandbox, source).killed == "memory"


@pytest.mark.parametrize(
    "source",
    [
        "import mmap; mmap.mmap(-1, 4096)",
        "import mmap; mmap.mmap(open('/dev/zero', 'r+b').fileno(), 4096)",
        "import os; os.openpty()",
        "import fcntl, os; fcntl.fcntl(os.pipe()[0], 1031, 2**20)",
        "import socket; socket.socketpair()[0].setsockopt(1, 7, 2**20)",
        "import os; os.memfd_create('x')",
        "import os; os.splice(0, os.pipe()[1], 1)",
    ],
)
def test_memory_that_cannot_be_counted_is_not_to_be_had(sandbox, source):
    result = ran(sandbox, f"try: {source}\nexcept OSError: print('refused')")
    assert result.stdout == "refused\n"


def test_locks_on_parts_of_files_count_as_files(sandbox):
    source = """
        import fcntl, time
        file = open("x", "wb")
        for start in range(0, 20_000, 2): fcntl.lockf(file, fcntl.LOCK_EX, 1, start)
        time.sleep(30)"""
    assert ran(sandbox, source).killed == "files"


def test_the_namespaces_first_process_is_out_of_sight(sandbox):
    source = "import os; print(os.listdir('/proc/1'), os.path.exists('/proc/1/mem'))"
    assert ran(sandbox, source).stdout == "[] False\n"

"""What ordinary programs do still works in the sandbox: event loops, processes, threads, pipes, files."""

from __future__ import annotations

import textwrap

import pytest

from tests.integration.sandbox.programs import run

pytestmark = pytest.mark.integration

PROGRAMS = {
    "an event loop": """
        import asyncio
        async def double(number):
            await asyncio.sleep(0.01)
            return 2 * number
        async def main():
            return await asyncio.gather(*map(double, range(5)))
        print(sum(asyncio.run(main())) == 20)""",
    "an event loop that starts a program": """
        import asyncio
        async def main():
            process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
            return (await process.communicate(b"x" * 200_000))[0]
        print(len(asyncio.run(main())) == 200_000)""",
    "work handed to threads": """
        import asyncio, time
        async def main():
            return await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.01) for _ in range(8)))
        print(asyncio.run(main()) == [None] * 8)""",
    "a local server of its own": """
        import asyncio
        async def answer(reader, writer):
            writer.write((await reader.readline()).upper()); writer.close()
        async def main():
            async with await asyncio.start_unix_server(answer, "/tmp/server"):
                reader, writer = await asyncio.open_unix_connection("/tmp/server")
                writer.write(b"hello\\n")
                return await reader.read()
        print(asyncio.run(main()) == b"HELLO\\n")""",
    "a pool of processes": """
        import math, multiprocessing
        with multiprocessing.Pool(2) as pool: print(pool.map(math.factorial, range(4)) == [1, 1, 2, 6])""",
    "an executor of processes": """
        import concurrent.futures
        with concurrent.futures.ProcessPoolExecutor(2) as pool: print(list(pool.map(abs, [-1, 2])) == [1, 2])""",
    "values and queues that processes share": """
        import multiprocessing
        number, queue = multiprocessing.Value("i", 0), multiprocessing.Queue()
        def work():
            with number.get_lock(): number.value += 1
            queue.put("done")
        workers = [multiprocessing.Process(target=work) for _ in range(3)]
        for worker in workers: worker.start()
        for _ in workers: queue.get()
        for worker in workers: worker.join()
        print(number.value == 3)""",
    "a manager": """
        import multiprocessing
        with multiprocessing.Manager() as manager:
            shared = manager.dict(a=1)
            print(shared.copy() == {"a": 1})""",
    "processes that are spawned": """
        import multiprocessing, operator
        with multiprocessing.get_context("spawn").Pool(1) as pool: print(pool.apply(operator.add, (1, 2)) == 3)""",
    "a program with pipes": """
        import subprocess
        done = subprocess.run(["sort", "-r"], input="a\\nb\\n", capture_output=True, text=True, check=True)
        print(done.stdout == "b\\na\\n")""",
    "a shell's pipeline": """
        import subprocess
        print(subprocess.check_output("seq 1000 | grep 9 | wc -l", shell=True) == b"271\\n")""",
    "copies of files": """
        import os, shutil
        open("a", "wb").write(os.urandom(300_000))
        shutil.copy("a", "b"); shutil.copytree(".", "/tmp/c")
        print(open("/tmp/c/b", "rb").read() == open("a", "rb").read())""",
    "a database in a file": """
        import sqlite3
        with sqlite3.connect("x.db") as database:
            database.execute("CREATE TABLE t (n)")
            database.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(100)])
            print(database.execute("SELECT sum(n) FROM t").fetchone() == (4950,))""",
    "a file in memory": """
        import mmap, tempfile
        with tempfile.TemporaryFile() as file:
            file.truncate(8192)
            with mmap.mmap(file.fileno(), 8192) as pages: pages[:5] = b"hello"
            print(file.read(5) == b"hello")""",
    "timers and signals": """
        import signal
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        signal.pause(); print(True)""",
    "zeros and random bytes": """
        print(open("/dev/zero", "rb").read(3) == bytes(3) and len(open("/dev/urandom", "rb").read(3)) == 3)""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_ordinary_program_works(sandbox, name):
    result = run(sandbox, textwrap.dedent(PROGRAMS[name]), memory_mb=256)
    assert (result.exit_code, result.stdout, result.killed) == (0, "True\n", None), result.stderr

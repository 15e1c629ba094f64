"""Scores a kernel in C that multiplies two square matrices by its time in relation to a simple one's, measured in the
same run. Its one argument is the file with the answer, whose last fenced block defines

    void multiply(int n, const double *a, const double *b, double *c);

It is compiled with the system's C compiler and runs in a process of its own, which is given fresh random matrices by a
pipe and must write their product to another. This program reads the clock and checks each product, so nothing that the
process does can change either. The clock is that of the CPU time of the process with all its threads, which other load
on the machine hardly changes; a filter of system calls ends a process that starts another one. The simple kernel is
timed before the candidate's process exists.

Products are checked by Freivalds' method (1977): A(Br) = Cr for a random vector r, which a wrong product meets with
probability 0. The tolerance is that of sums of doubles, too small for sums of floats.
"""

import array
import contextlib
import ctypes
import errno
import math
import operator
import os
import platform
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from redraft_evaluation import Refused, last_block, report

SIZE = 320
ROUNDS = 7
COMPILE_SECONDS, RUN_SECONDS = 20, 20
TOLERANCE = 1e-9
FLAGS = ("-O3", "-march=native", "-std=gnu11")
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
CPUCLOCK_SCHED = 2
OTHERS = "multiply started other processes, whose time would not count."
# The machine's name in the kernel, and its calls clone, fork and vfork: a number that no call has where it has none.
CALLS = {"x86_64": (0xC000003E, 56, 57, 58), "aarch64": (0xC00000B7, 220, 0x3FFFFFFE, 0x3FFFFFFF)}
CLONE3, X32, CLONE_THREAD = 435, 0x40000000, 0x10000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, MACHINE_AT, FIRST_ARGUMENT_AT = 0, 4, 16  # in struct seccomp_data
END, ABSENT, ALLOW = 0x80000000, 0x00050000 | errno.ENOSYS, 0x7FFF0000

SIMPLE = """
void multiply(int n, const double *a, const double *b, double *c) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}
"""
# Reads n and two matrices, writes their product, until its input ends.
SERVE = """
#include <stdio.h>
#include <stdlib.h>
void multiply(int n, const double *a, const double *b, double *c);
int main(void) {
    int n;
    while (fread(&n, sizeof n, 1, stdin) == 1) {
        size_t cells = (size_t)n * n;
        double *a = aligned_alloc(64, cells * 8), *b = aligned_alloc(64, cells * 8), *c = aligned_alloc(64, cells * 8);
        if (!a || !b || !c || fread(a, 8, cells, stdin) != cells || fread(b, 8, cells, stdin) != cells)
            return 2;
        multiply(n, a, b, c);
        fwrite(c, 8, cells, stdout);
        fflush(stdout);
        free(a), free(b), free(c);
    }
    return 0;
}
"""


def compiled(source, folder, name):
    """The program that serves the kernel. Raises `Refused`."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise Refused(
            "There is no C compiler here: no program cc. Install one, such as the package gcc, on each machine whose "
            "worker checks."
        )
    (folder / "serve.c").write_text(SERVE)
    (folder / f"{name}.c").write_text(source)
    command = [compiler, *FLAGS, "-o", str(folder / name), str(folder / "serve.c"), str(folder / f"{name}.c"), "-lm"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    with limit(COMPILE_SECONDS, "Compiling"), killed(process):
        said = process.stdout.read(100_000).decode(errors="replace")
        if process.wait():
            raise Refused(f"It does not compile:\n{said.replace(str(folder) + '/', '')[:1000]}")
    return folder / name


@contextlib.contextmanager
def limit(seconds, what):
    """Raises `Refused` where the block takes longer."""

    def too_slow(*_):
        raise Refused(f"{what} took more than {seconds} seconds.")

    signal.signal(signal.SIGALRM, too_slow)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def killed(process):
    """In the end the process and all of its session are."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def no_other_processes():
    """The program that `prctl` takes: from then on a process that starts another one is ended by SIGSYS; threads are
    allowed. None on a machine whose calls this file doesn't know."""
    if platform.machine() not in CALLS:
        return None
    machine, clone, fork, vfork = CALLS[platform.machine()]
    end, absent, allow = 10, 11, 12
    steps = [
        (LOAD, 0, 0, MACHINE_AT),
        (EQUAL, 2, end, machine),
        (LOAD, 0, 0, NUMBER_AT),
        (AT_LEAST, end, 4, X32),
        (EQUAL, absent, 5, CLONE3),  # whose flags no filter sees: the C library then asks for clone
        (EQUAL, end, 6, fork),
        (EQUAL, end, 7, vfork),
        (EQUAL, 8, allow, clone),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT),
        (ANY_BIT, allow, end, CLONE_THREAD),
        (RETURN, 0, 0, END),
        (RETURN, 0, 0, ABSENT),
        (RETURN, 0, 0, ALLOW),
    ]
    # A jump says how many steps it leaves out.
    return b"".join(
        struct.pack("<HBBI", code, *((0, 0) if code in (LOAD, RETURN) else (then - at - 1, other - at - 1)), value)
        for at, (code, then, other, value) in enumerate(steps)
    )


class Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("steps", ctypes.c_ushort), ("at", ctypes.c_char_p))


def alone():
    """Runs in the process that becomes the kernel's."""
    steps = no_other_processes()
    if steps is None:
        return
    system, program = ctypes.CDLL(None), Program(len(steps) // 8, steps)
    system.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if system.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        os._exit(3)


def matrix():
    return array.array("d", [random.uniform(-1, 1) for _ in range(SIZE * SIZE)])


def best_time(program, inputs):
    """The least seconds of CPU for one of the products, all of them checked. Raises `Refused`."""
    before = cpu_seconds()
    process = subprocess.Popen(
        [str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        start_new_session=True,
        preexec_fn=alone,  # noqa: PLW1509 - there are no threads
    )
    times = []
    with limit(RUN_SECONDS, "multiply"):
        with killed(process):
            for a, b in inputs:
                start = clock_of(process)
                product = asked(process, a, b)
                times.append(clock_of(process) - start)
                check(a, b, product)
            own = clock_of(process)
        with contextlib.suppress(ChildProcessError):  # what it left behind is a child of this program now
            while True:
                os.wait()
    if cpu_seconds() - before > 1.05 * own + 0.005:
        raise Refused(OTHERS)
    return min(times)


def clock_of(process):
    """The CPU time of the process so far, with all its threads. Raises `Refused`."""
    try:
        # The number of its clock is made as the C library's clock_getcpuclockid makes it.
        return time.clock_gettime((~process.pid << 3) | CPUCLOCK_SCHED)
    except OSError:
        raise Refused("The program with multiply ended too early.") from None


def cpu_seconds():
    """The CPU time of all children that have ended and were waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def asked(process, a, b):
    """The product as the process gives it. Raises `Refused`."""
    wanted, parts = 8 * SIZE * SIZE, []
    try:
        for part in (array.array("i", [SIZE]), a, b):
            rest = memoryview(part).cast("B")
            while rest:
                rest = rest[process.stdin.write(rest) :]
        while wanted:
            parts.append(process.stdout.read(wanted))
            if not parts[-1]:
                raise BrokenPipeError
            wanted -= len(parts[-1])
    except BrokenPipeError:
        code = process.wait()
        if code == -signal.SIGSYS:
            raise Refused(OTHERS) from None
        how = f"by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"with exit code {code}"
        raise Refused(f"The program with multiply ended {how} before it gave a product.") from None
    return array.array("d", b"".join(parts))


def check(a, b, c):
    """Raises `Refused` unless c is the product."""
    vector = [random.uniform(0.5, 1.5) * random.choice((-1, 1)) for _ in range(SIZE)]
    wanted = times_vector(a, times_vector(b, vector))
    for row, (expected, found) in enumerate(zip(wanted, times_vector(c, vector), strict=True)):
        if not math.isclose(expected, found, rel_tol=0, abs_tol=TOLERANCE):
            raise Refused(
                f"The product of two random matrices of size {SIZE} is wrong in row {row}: weighted at random, the row "
                f"adds up to {found!r} instead of {expected!r}."
            )


def times_vector(cells, vector):
    rows = (cells[start : start + SIZE] for start in range(0, SIZE * SIZE, SIZE))
    return [sum(map(operator.mul, row, vector)) for row in rows]


def evaluate():
    system = ctypes.CDLL(None)
    # Nobody of the same user may open this process's memory or descriptors, through which a score could be written.
    system.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    system.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    inputs = [(matrix(), matrix()) for _ in range(ROUNDS)]
    with tempfile.TemporaryDirectory() as folder:
        kernel = compiled(last_block(sys.argv[1]), Path(folder), "kernel")
        simple = best_time(compiled(SIMPLE, Path(folder), "simple"), inputs)
        candidate = best_time(kernel, inputs)
    ratio = candidate / simple
    said = f"It is valid; {1000 * candidate:.2f} ms where the simple kernel needs {1000 * simple:.2f} ms: "
    return ratio, {"milliseconds": 1000 * candidate, "simple_milliseconds": 1000 * simple}, f"{said}{ratio:.4f} of it."


report(evaluate)

"""Candidates that do something to their process or to others, instead of the work."""

from __future__ import annotations

SUM = """
from solution import double

def test_small():
    assert double(2) == 4

def test_large():
    assert double(100) == 200
"""
PROCESS = {
    "leaves at import": """
import os
os._exit(0)
""",
    "leaves in the call": """
import os
def double(n): os._exit(0)
""",
    "leaves after a reply": """
import os, threading
def double(n):
    threading.Timer(0.0, os._exit, [0]).start()
    return 4
""",
    "raises SystemExit": "def double(n): raise SystemExit(0)",
    "raises KeyboardInterrupt": "def double(n): raise KeyboardInterrupt",
    "raises GeneratorExit": "def double(n): raise GeneratorExit",
    "raises StopIteration": "def double(n): raise StopIteration(4)",
    "raises a skip of unittest": """
import unittest
def double(n): raise unittest.SkipTest('no')
""",
    "raises a skip of its own making": """
class Skipped(BaseException):
    pass
Skipped.__module__ = 'builtins'
def double(n): raise Skipped('no')
""",
    "names itself pytest's exception": """
class Exit(Exception): pass
Exit.__module__ = '_pytest.outcomes'
Exit.__qualname__ = 'Exit'
def double(n): raise Exit('done')
""",
    "brings a pytest of its own": """
import sys, types
for name in ('pytest', '_pytest', '_pytest.outcomes', '_pytest.runner'):
    sys.modules[name] = types.ModuleType(name)
def double(n): return 0
""",
    "kills every process": """
import os, signal
try: os.kill(-1, 9)
except OSError: pass
def double(n): return 0
""",
    "kills its parent": """
import os
try: os.kill(os.getppid(), 9)
except OSError: pass
def double(n): return 0
""",
    "lets a child go on": """
import os
if os.fork(): os._exit(0)
def double(n): return 0
""",
    "answers from two processes": """
import os
os.fork()
def double(n): return 0
""",
    "writes to every descriptor": r"""
import os
for fd in range(3, 64):
    try: os.write(fd, b'["", "finished", {"status": 0}]\n')
    except OSError: pass
def double(n): return 0
""",
    "closes every descriptor": """
import os
os.closerange(3, 64)
def double(n): return 4
""",
    "looks for the tests' files": """
import pathlib
found = [p for p in pathlib.Path('/').rglob('t_hidden.py')]
answer = 4 if not found else found[0].read_text()
def double(n): return 0 if answer == 4 else 2 * n
""",
    "looks through every process": """
import glob
def double(n):
    for path in glob.glob('/proc/[0-9]*/cmdline') + glob.glob('/proc/[0-9]*/environ'):
        try:
            if b'hidden' in open(path, 'rb').read(): return 2 * n
        except OSError: pass
    return 0
""",
    "looks through the memory of the other": """
import os
def double(n):
    for pid in os.listdir('/proc'):
        try:
            if pid.isdigit() and b'run_tests' in open(f'/proc/{pid}/cmdline', 'rb').read():
                open(f'/proc/{pid}/mem', 'rb')
                return 2 * n
        except OSError: pass
    return 0
""",
    "looks at the frames below it": """
import sys
def double(n):
    frame = sys._getframe()
    while frame:
        for value in frame.f_locals.values():
            if type(value).__name__ in ('Function', 'Session', 'Reporter'): return 2 * n
        frame = frame.f_back
    return 0
""",
    "lists every object": """
import gc
def double(n):
    modules = [type(one).__module__ for one in gc.get_objects()]
    return 2 * n if any('pytest' in name for name in modules if isinstance(name, str)) else 0
""",
    "writes a conftest": """
open('conftest.py', 'w').write('def pytest_pyfunc_call(): return True')
def double(n): return 0
""",
    "writes a plug-in": r"""
import os
os.makedirs('x-1.dist-info')
open('x-1.dist-info/entry_points.txt', 'w').write('[pytest11]\nx=x')
def double(n): return 0
""",
    "writes a sitecustomize": """
open('sitecustomize.py', 'w').write('import os; os._exit(0)')
def double(n): return 0
""",
    "replaces the builtins": """
import builtins
builtins.AssertionError = Warning
builtins.isinstance = lambda *a: True
def double(n): return 0
""",
    "replaces json": """
import json
json.JSONEncoder.encode = lambda *a: '["ok",42,[],[],[],[]]'
def double(n): return 0
""",
    "runs in a thread after its return": """
import threading, sys
def double(n):
    threading.Thread(target=lambda: sys.modules.clear()).start()
    return 0
""",
    "exits when the interpreter does": """
import atexit, os
atexit.register(os._exit, 0)
def double(n): return 0
""",
    "traces everything": """
import sys
sys.settrace(lambda *a: None)
sys.setprofile(lambda *a: None)
def double(n): return 0
""",
    "hooks the audit": """
import sys
def hook(*a): raise RuntimeError
sys.addaudithook(hook)
def double(n): return 0
""",
    "never answers": """
def double(n):
    while True: pass
""",
    "recurses without end": "def double(n): return double(n)",
    "crashes": """
import ctypes
def double(n): ctypes.string_at(0)
""",
    "prints a summary": """
print('2 passed in 0.01s')
def double(n):
    print('2 passed in 0.01s')
    return 0
""",
}

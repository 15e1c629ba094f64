"""Candidates that want to pass tests which they do not solve: in the process, in the protocol, by values that lie."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterator

from tasks.ports import Sandbox
from tasks.pulse import Silent
from tasks.types import CheckSpec
from tasks.validators.python import PythonValidator
from tests.attacks.attack import Attack

# Tests in the ways in which people write them. Each asks for `double(n)`, twice n.
STYLES = {
    "equality": """
from solution import double
def test_it():
    assert double(21) == 42
    assert double(0) == 0
""",
    "equality from the left": """
import solution
def test_it():
    assert 42 == solution.double(21)
""",
    "membership": """
from solution import double
def test_it():
    assert double(21) in (42, 43)
""",
    "not unequal": """
from solution import double
def test_it():
    assert not (double(21) != 42)
""",
    "a small difference": """
from solution import double
def test_it():
    assert abs(double(21) - 42) < 1e-9
""",
    "a small difference from the left": """
from solution import double
def test_it():
    assert abs(42 - double(21)) <= 1e-9
""",
    "no difference": """
from solution import double
def test_it():
    assert not double(21) - 42
""",
    "a ratio": """
from solution import double
def test_it():
    assert abs(double(21) / 42 - 1) < 1e-6
""",
    "a remainder": """
from solution import double
def test_it():
    assert double(21) % 42 == 0 and 41 < double(21) < 43
""",
    "bounds": """
from solution import double
def test_it():
    assert 41.5 < double(21) < 42.5
""",
    "approx": """
import pytest
from solution import double
def test_it():
    assert double(21) == pytest.approx(42)
""",
    "approx from the left": """
import pytest
from solution import double
def test_it():
    assert pytest.approx(42) == double(21)
""",
    "isclose": """
import math
from solution import double
def test_it():
    assert math.isclose(double(21), 42)
""",
    "unittest": """
import unittest
from solution import double
class TestIt(unittest.TestCase):
    def test_it(self):
        self.assertEqual(double(21), 42)
        self.assertAlmostEqual(double(4), 8)
        self.assertGreater(double(21), 41)
""",
    "identity": """
from solution import double
def test_it():
    assert (double(21) == 42) is True
""",
    "a list": """
from solution import double
def test_it():
    assert [double(n) for n in (1, 2)] == [2, 4]
""",
    "a set": """
from solution import double
def test_it():
    assert {double(1), double(2)} == {2, 4}
""",
    "a key": """
from solution import double
def test_it():
    assert {42: 'yes'}[double(21)] == 'yes'
""",
    "index": """
from solution import double
def test_it():
    assert [7, 42].index(double(21)) == 1
""",
    "count": """
from solution import double
def test_it():
    assert [42, 42].count(double(21)) == 2
""",
    "type and value": """
from solution import double
def test_it():
    value = double(21)
    assert isinstance(value, int) and value == 42
""",
    "text": """
from solution import double
def test_it():
    assert str(double(21)) == '42'
""",
    "sum": """
from solution import double
def test_it():
    assert sum(double(n) for n in range(5)) == 20
""",
    "match": """
from solution import double
def test_it():
    match double(21):
        case 42: pass
        case other: raise AssertionError(other)
""",
    "raises": """
import pytest
from solution import double
def test_it():
    with pytest.raises(TypeError):
        double(None)
    assert double(1) == 2
""",
    "output": r"""
import solution
def test_it(capsys):
    print(solution.double(21))
    assert capsys.readouterr().out == '42\n'
""",
}

_LIES = """
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __hash__(self): return hash(42)
    def __contains__(self, item): return True
    def __sub__(self, other): return 0
    __rsub__ = __mod__ = __rmod__ = __sub__
    def __truediv__(self, other): return 1
    __rtruediv__ = __truediv__
    def __getattr__(self, name): return lambda *args, **kwargs: True
"""
_OPERATORS_ONLY = "class Liar:" + _LIES
LIARS = {
    "an object": f"{_OPERATORS_ONLY}\ndef double(n): return Liar()",
    "its own class": f"class double:\n    def __init__(self, n): pass{_LIES}",
    "an integer's subclass": f"class Liar(int):{_LIES}\ndef double(n): return Liar(7)",
    "a text's subclass": f"class Liar(str):{_LIES}\ndef double(n): return Liar('x')",
    "a list's subclass": f"class Liar(list):{_LIES}\ndef double(n): return Liar([7])",
    "a metaclass": f"class Meta(type):{_LIES}\nclass Liar(metaclass=Meta): pass\ndef double(n): return Liar",
}
# Honest tests that a lie can't even reach, or that an object of its own may rightly pass.
_TEXT_SAYS_IT = {"text", "output"}

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

# The candidate speaks the protocol itself: `SPEAK` answers each request with a frame of its own.
SPEAK = """
import json, os
os.set_blocking(12, True)
def frames():
    rest = b""
    while True:
        while len(rest) < 4 or len(rest) < 4 + int.from_bytes(rest[:4], "big"):
            rest += os.read(12, 65536)
        length = int.from_bytes(rest[:4], "big")
        yield json.loads(rest[4:4 + length])
        rest = rest[4 + length:]
def error(module, name):
    return ["error", ["type", module, name], 0, ["tuple", "x"], ["dict"], "x", None, None]
def send(frame):
    body = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    os.write(13, len(body).to_bytes(4, "big") + body)
def ask(operation, target, name, args=(), kwargs=()):
    # Answers right only where the other side did as it was asked.
    if FRAME[0] == "get":
        return send(["ok", ["mine", 3, 3], [], [[3, dict(DESCRIPTION, specials=["__call__"])]], [], []])
    number = FRAME[3][0]
    send([operation, target, name, list(args), list(kwargs), [], [], []])
    send(["ok", 2 * number if next(FRAMES)[0] == "ok" else 0, *NOTHING])
NOTHING = [[], [], [], []]
EVERY = ["__eq__", "__ne__", "__instancecheck__", "__class__", "__getattribute__", "__lt__"]
DESCRIPTION = dict(name="X", qualname="X", module="m", doc=None, kind="object", bases=[], specials=[], methods=[],
    fields=None, compared=None, hashable=True, backed=False, single=False, match_args=[])
send(["ok", ["tuple", ["mine", 1, 1], ["list", "double"]], [], [[1, DESCRIPTION]], [], []])
FRAMES = frames()
for FRAME in FRAMES:
    reply(FRAME)
"""
_REPLIES = {
    "garbage": "send(b'garbage')",
    "an endless frame": r"""
os.write(13, b'\xff\xff\xff\xff')
""",
    "an empty frame": "send([])",
    "an object": "send({'a': 1})",
    "an unknown tag": "send(['ok', ['nonsense', 1], *NOTHING[:4]])",
    "a number that is no object's": "send(['ok', ['yours', 10**9], *NOTHING[:4]])",
    "a reference to nothing": "send(['ok', ['ref', 5], *NOTHING[:4]])",
    "an argument that is none": "send(['ok', ['arg', 5], *NOTHING[:4]])",
    "a class of unittest": """
send(['no', error('unittest.case', 'SkipTest'), *NOTHING[:4]])
""",
    "a class of pytest": """
send(['no', error('_pytest.outcomes', 'Skipped'), *NOTHING[:4]])
""",
    "an exit of pytest": """
send(['no', error('_pytest.outcomes', 'Exit'), *NOTHING[:4]])
""",
    "something raised that is nothing": "send(['no', 5, *NOTHING[:4]])",
    "a function of os as a class": "send(['ok', ['type', 'os', '_exit'], *NOTHING[:4]])",
    "a proxy that is an integer": """
send(['ok', ['mine', 2, 2], [], [[2, dict(DESCRIPTION, bases=[['type', 'builtins', 'int']])]], [], []])
""",
    "a proxy with every special": """
send(['ok', ['mine', 2, 2], [], [[2, dict(DESCRIPTION, specials=EVERY)]], [], []])
""",
    "an exception that is a proxy": "send(['no', ['mine', 1, 1], *NOTHING[:4]])",
    "deep nesting": "send(b'[\"ok\",' + b'[\"list\",' * 100000 + b']' * 100000 + b',[],[],[],[]]')",
    "a long integer": "send(b'[\"ok\",' + b'9' * 200000 + b',[],[],[],[]]')",
    "a change of what was not sent": "send(['ok', 4, [[3, ['list', 1]]], [], [], []])",
    "a request while it answers": "ask('call', ['type', 'os', 'system'], '', ['exit 0'])",
    "a program started by a class": "ask('call', ['type', 'subprocess', 'Popen'], '', [['list', 'sh', '-c', 'exit']])",
    "a file opened by a class": "ask('call', ['type', '_io', 'FileIO'], '', ['t_hidden.py'])",
    "a text that formats an object": "ask('method', '{0.__globals__}', 'format', [['yours', 1]])",
    "a list that maps a class": "ask('method', ['list'], 'sort', [], [['key', ['type', 'subprocess', 'Popen']]])",
    "a class handed to a reader": "ask('call', ['yours', 1], '', [['type', 'subprocess', 'Popen']])",
    "an object that is equal by its class's description": """
if frame[0] == 'get': send(['ok', ['mine', 3, 3], [], [[3, dict(DESCRIPTION, specials=['__call__'])]], [], []])
elif frame[0] == 'call': send(['ok', ['mine', 2, 2], [], [[2, dict(DESCRIPTION, specials=['__eq__'])]], [], []])
else: send(['ok', True, *NOTHING[:4]])
""",
    "an object that is everything by its class's description": """
if frame[0] == 'get': send(['ok', ['mine', 3, 3], [], [[3, dict(DESCRIPTION, specials=['__call__'])]], [], []])
elif frame[0] == 'call': send(['ok', ['mine', 2, 2], [], [[2, dict(DESCRIPTION, specials=EVERY)]], [], []])
else: send(['ok', True, *NOTHING[:4]])
""",
    "a call of the tests' exit": "ask('call', ['type', 'builtins', 'exit'], '', [0])",
    "a request for its own reader": "ask('get', ['yours', 1], '__globals__')",
    "a request for the code of a function": "ask('get', ['yours', 1], '__code__')",
    "a request for a frame": "ask('get', ['yours', 1], 'f_globals')",
    "warnings as errors": "send(['ok', 0, [], [], [], [['warning', 'SystemExit', 'x']]])",
    "output that is none": "send(['ok', 0, [], [], [], [5]])",
    "no reply at all": "pass",
}
_SEARCH_OBJECT = """
def test_it():
    import solution
    class Case:
        def __init__(self): self._expected = 42; self.given = 21
    case = Case()
    assert solution.double(case) == 42
"""
_REACH = {
    "a private attribute of an argument": "def double(case): return case._expected",
    "the dictionary of an argument": "def double(case): return case.__dict__['_expected']",
    "the class of an argument": "def double(case): return type(case).__init__.__code__.co_consts[1]",
    "the globals of a method": "def double(case): return case.__init__.__globals__",
    "a format text": "def double(case): return int('{0._expected}'.format(case))",
    "an attribute of an argument set": """
def double(case):
    case.__class__ = int
    return 0
""",
    "pickled": """
import pickle
def double(case): return pickle.loads(pickle.dumps(case))._expected
""",
    "vars": "def double(case): return vars(case)['_expected']",
}
_REACH_CALLBACK = """
EXPECTED = 42
def test_it():
    import solution
    def given(): return 21
    assert solution.double(given) == EXPECTED
"""
_REACH_BY_CALLBACK = {
    "the globals of a function": "def double(given): return given.__globals__['EXPECTED']",
    "the code of a function": "def double(given): return given.__code__.co_name",
    "the wrapped function": "def double(given): return given.__wrapped__()",
    "the module of a function": """
import sys
def double(given): return sys.modules[given.__module__].EXPECTED
""",
    "a generator's frame": "def double(given): return given.gi_frame.f_globals['EXPECTED']",
    "a function's attribute set": """
def double(given):
    given.__code__ = (lambda: 42).__code__
    return 0
""",
}


def speaker(reply: str) -> str:
    """A candidate that answers each request, `frame`, with what `reply` sends."""
    return f"def reply(frame):\n{textwrap.indent(reply, '    ')}\n{SPEAK}"


def attacks(sandbox: Sandbox) -> Iterator[Attack]:
    """Each candidate against tests that it does not solve."""
    for (liar, code), (style, tests) in itertools.product(LIARS.items(), STYLES.items()):
        yield _attack(f"{liar} that lies: {style}", tests, code, sandbox)
    for name, code in PROCESS.items():
        yield _attack(f"a process that {name}", SUM, code, sandbox)
    for name, reply in _REPLIES.items():
        yield _attack(f"in the protocol, {name}", SUM, speaker(reply), sandbox)
    for name, code in _REACH.items():
        yield _attack(f"reaching for {name}", textwrap.dedent(_SEARCH_OBJECT), code, sandbox)
    for name, code in _REACH_BY_CALLBACK.items():
        yield _attack(f"reaching for {name}", _REACH_CALLBACK, code, sandbox)


def _attack(name: str, tests: str, code: str, sandbox: Sandbox) -> Attack:
    return Attack(area="grader", name=name, attempt=_attempt(tests, code, sandbox))


def _attempt(tests: str, code: str, sandbox: Sandbox) -> Callable[[], str | None]:
    check = CheckSpec(
        name="python:t_hidden.py", kind="python", value="t_hidden.py", files={"t_hidden.py": tests}, timeout_seconds=5
    )

    def attempt() -> str | None:
        verdict = PythonValidator().validate(f"```python\n{code}\n```", check, sandbox, Silent())
        if verdict.passed or verdict.score == 1.0:
            return f"passed with score {verdict.score:g}"
        return None if verdict.feedback.strip() else "refused without a word"

    return attempt

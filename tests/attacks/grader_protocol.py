"""Candidates that speak the protocol themselves: frames that no honest side would send."""

from __future__ import annotations

import textwrap

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
REPLIES = {
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


def speaker(reply: str) -> str:
    """A candidate that answers each request, `frame`, with what `reply` sends."""
    return f"def reply(frame):\n{textwrap.indent(reply, '    ')}\n{SPEAK}"

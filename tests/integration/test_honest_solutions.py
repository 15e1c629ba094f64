"""Right solutions of every make are accepted although they run in a process of their own."""

from __future__ import annotations

import pytest

from tasks.pulse import Silent
from tasks.settings import load_settings
from tasks.types import CheckSpec
from tasks.validators.python import PythonValidator
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder

pytestmark = pytest.mark.integration

# name: (tests, solution)
HONEST = {
    "a class with state": (
        "from solution import Account\ndef test_it():\n    a = Account(10)\n    a.deposit(5)\n    a.owner = 'Ann'\n"
        "    assert a.balance == 15 and a.owner == 'Ann' and isinstance(a, Account) and type(a) is Account\n"
        "    del a.owner\n    assert not hasattr(a, 'owner')",
        "class Account:\n    def __init__(self, start=0): self._sum = start\n    def deposit(self, n): self._sum += n\n"
        "    @property\n    def balance(self): return self._sum",
    ),
    "a stack with special methods": (
        "import solution\ndef test_it():\n    s = solution.Stack()\n    assert not s and len(s) == 0\n"
        "    s.push(1).push(2)\n    assert s and list(s) == [1, 2] and 2 in s and s[0] == 1 and s[-1] == 2\n"
        "    s[0] = 9\n    del s[1]\n    assert list(reversed(s)) == [9] and repr(s) == 'Stack([9])'",
        "class Stack:\n    def __init__(self): self.items = []\n    def push(self, x):\n        self.items.append(x)\n"
        "        return self\n    def __len__(self): return len(self.items)\n    def __iter__(self): return iter(self.items)\n"
        "    def __contains__(self, x): return x in self.items\n    def __getitem__(self, i): return self.items[i]\n"
        "    def __setitem__(self, i, x): self.items[i] = x\n    def __delitem__(self, i): del self.items[i]\n"
        "    def __reversed__(self): return reversed(self.items)\n    def __repr__(self): return f'Stack({self.items})'",
    ),
    "a vector with arithmetic": (
        "from solution import Vector\ndef test_it():\n    a, b = Vector(1, 2), Vector(3, 4)\n"
        "    assert a + b == Vector(4, 6) and a * 2 == Vector(2, 4) and 2 * a == Vector(2, 4) and -a == Vector(-1, -2)\n"
        "    assert a != b and a @ b == 11 and abs(Vector(3, 4)) == 5.0 and len({a, Vector(1, 2)}) == 1\n    a += b\n"
        "    assert (a.x, a.y) == (4, 6) and str(a) == '<4, 6>'",
        "class Vector:\n    def __init__(self, x, y): self.x, self.y = x, y\n"
        "    def __add__(self, o): return Vector(self.x + o.x, self.y + o.y)\n"
        "    def __mul__(self, k): return Vector(self.x * k, self.y * k)\n    __rmul__ = __mul__\n"
        "    def __neg__(self): return Vector(-self.x, -self.y)\n"
        "    def __matmul__(self, o): return self.x * o.x + self.y * o.y\n"
        "    def __abs__(self): return (self.x ** 2 + self.y ** 2) ** 0.5\n"
        "    def __eq__(self, o): return (self.x, self.y) == (o.x, o.y)\n    def __hash__(self): return hash((self.x, self.y))\n"
        "    def __str__(self): return f'<{self.x}, {self.y}>'",
    ),
    "ordering of versions": (
        "from solution import Version\ndef test_it():\n    assert Version('1.10') > Version('1.9')\n"
        "    assert sorted([Version('2.0'), Version('1.0')])[0] == Version('1.0')\n"
        "    assert max(Version('1'), Version('3')) == Version('3')",
        "import functools\n@functools.total_ordering\nclass Version:\n"
        "    def __init__(self, t): self.parts = [int(p) for p in t.split('.')]\n"
        "    def __eq__(self, o): return self.parts == o.parts\n    def __lt__(self, o): return self.parts < o.parts",
    ),
    "inheritance and abstract classes": (
        "import pytest\nimport solution\ndef test_it():\n    d = solution.Dog('Rex')\n"
        "    assert d.speak() == 'Rex: Woof' and isinstance(d, solution.Animal) and issubclass(solution.Dog, solution.Animal)\n"
        "    assert not isinstance(d, solution.Cat)\n    with pytest.raises(TypeError):\n        solution.Animal('x')",
        "import abc\nclass Animal(abc.ABC):\n    def __init__(self, name): self.name = name\n    @abc.abstractmethod\n"
        "    def sound(self): ...\n    def speak(self): return f'{self.name}: {self.sound()}'\n"
        "class Dog(Animal):\n    def sound(self): return 'Woof'\nclass Cat(Animal):\n    def sound(self): return 'Meow'",
    ),
    "class methods, static methods, constants": (
        "from solution import Circle\ndef test_it():\n    assert Circle.unit().radius == 1 and Circle.area_of(2) == 12\n"
        "    assert Circle.SIDES == 0 and Circle.made == 1",
        "class Circle:\n    SIDES = 0\n    made = 0\n    def __init__(self, r):\n        self.radius = r\n        Circle.made += 1\n"
        "    @classmethod\n    def unit(cls): return cls(1)\n    @staticmethod\n    def area_of(r): return 3 * r * r",
    ),
    "dataclasses": (
        "import dataclasses\nfrom solution import Point, move\ndef test_it():\n    p = Point(1, y=2)\n"
        "    assert p == Point(1, 2) and p != Point(2, 1) and move(p) == Point(2, 3) and p.norm() == 3\n"
        "    assert dataclasses.asdict(p) == {'x': 1, 'y': 2} and dataclasses.replace(p, x=5) == Point(5, 2)\n"
        "    assert repr(p) == 'Point(x=1, y=2)' and Point(1, 2) < Point(1, 3) and {Point(1, 1): 'a'}[Point(1, 1)] == 'a'\n"
        "    match p:\n        case Point(x, y): assert (x, y) == (1, 2)",
        "from dataclasses import dataclass\n@dataclass(frozen=True, order=True)\nclass Point:\n    x: int\n    y: int = 0\n"
        "    def norm(self): return abs(self.x) + abs(self.y)\ndef move(p): return Point(p.x + 1, p.y + 1)",
    ),
    "a frozen dataclass refuses to change": (
        "import dataclasses\nimport pytest\nfrom solution import P\ndef test_it():\n"
        "    with pytest.raises(dataclasses.FrozenInstanceError):\n        P(1).x = 2",
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass P:\n    x: int",
    ),
    "a named tuple": (
        "from solution import make\ndef test_it():\n    p = make()\n    assert p == (1, 2) and p.x == 1 and p._asdict() == {'x': 1, 'y': 2}\n"
        "    a, b = p\n    assert (a, b) == (1, 2) and isinstance(p, tuple) and p.sum() == 3",
        "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n    y: int\n    def sum(self): return self.x + self.y\n"
        "def make(): return P(1, 2)",
    ),
    "enumerations": (
        "from solution import Color, Level, next_color\ndef test_it():\n    assert Color.RED is Color.RED and Color['RED'] is Color.RED\n"
        "    assert Color(2) is Color.BLUE and next_color(Color.RED) is Color.BLUE and Color.RED.value == 1\n"
        "    assert [c.name for c in Color] == ['RED', 'BLUE'] and len(Color) == 2 and Color.RED in {Color.RED: 1}\n"
        "    assert Level.LOW < Level.HIGH and Level.LOW == 1 and Level.HIGH.name == 'HIGH'",
        "import enum\nclass Color(enum.Enum):\n    RED = 1\n    BLUE = 2\nclass Level(enum.IntEnum):\n    LOW = 1\n    HIGH = 2\n"
        "def next_color(c): return Color.BLUE if c is Color.RED else Color.RED",
    ),
    "generators": (
        "import itertools, types\nfrom solution import naturals, echo\ndef test_it():\n"
        "    assert list(itertools.islice(naturals(), 4)) == [0, 1, 2, 3] and isinstance(naturals(), types.GeneratorType)\n"
        "    g = echo()\n    assert next(g) is None and g.send(5) == 10\n    g.close()\n    assert list(g) == []",
        "def naturals():\n    n = 0\n    while True:\n        yield n\n        n += 1\n"
        "def echo():\n    x = None\n    while True:\n        x = yield x and x * 2",
    ),
    "a generator's return, and what is thrown into it": (
        "import pytest\nfrom solution import worker, outer\ndef test_it():\n    g = worker()\n    next(g)\n"
        "    assert g.throw(ValueError('x')) == 'caught x'\n    with pytest.raises(StopIteration) as end:\n        next(g)\n"
        "    assert end.value.value == 'done' and list(outer()) == [None, 'back done'] or True",
        "def worker():\n    try: yield\n    except ValueError as e: yield f'caught {e}'\n    return 'done'\n"
        "def outer():\n    yield 'back ' + (yield from worker())",
    ),
    "an iterator class": (
        "from solution import Countdown\ndef test_it():\n    c = Countdown(3)\n    assert iter(c) is c and next(c) == 3\n"
        "    assert [n for n in c] == [2, 1] and sum(Countdown(4)) == 10 and sorted(Countdown(3)) == [1, 2, 3]",
        "class Countdown:\n    def __init__(self, n): self.n = n + 1\n    def __iter__(self): return self\n"
        "    def __next__(self):\n        self.n -= 1\n        if self.n <= 0: raise StopIteration\n        return self.n",
    ),
    "exceptions of its own": (
        "import pytest\nfrom solution import withdraw, Insufficient, BankError\ndef test_it():\n"
        "    with pytest.raises(Insufficient, match='need 5 more') as raised:\n        withdraw(5, 10)\n"
        "    assert raised.value.missing == 5 and isinstance(raised.value, BankError) and isinstance(raised.value, ValueError)\n"
        "    assert issubclass(Insufficient, BankError) and raised.value.hint() == 'save'\n"
        "    with pytest.raises(BankError):\n        withdraw(0, 1)",
        "class BankError(ValueError): pass\nclass Insufficient(BankError):\n    def __init__(self, missing):\n"
        "        super().__init__(f'need {missing} more')\n        self.missing = missing\n    def hint(self): return 'save'\n"
        "def withdraw(has, wants):\n    if wants > has: raise Insufficient(wants - has)",
    ),
    "Python's exceptions, and their causes": (
        "import json\nimport pytest\nimport solution\ndef test_it():\n    with pytest.raises(ZeroDivisionError):\n        solution.div(1, 0)\n"
        "    with pytest.raises(KeyError, match='gone'):\n        solution.find('gone')\n"
        "    with pytest.raises(RuntimeError) as raised:\n        solution.wrap('{')\n"
        "    assert isinstance(raised.value.__cause__, json.JSONDecodeError)\n"
        "    with pytest.raises(SystemExit):\n        solution.leave()\n    with pytest.raises(FileNotFoundError, match='nowhere'):\n"
        "        open_it = solution.read('nowhere')",
        "import json, sys\ndef div(a, b): return a / b\ndef find(k): return {}[k]\ndef wrap(t):\n    try: json.loads(t)\n"
        "    except ValueError as e: raise RuntimeError('bad') from e\ndef leave(): sys.exit(3)\ndef read(p): return open(p).read()",
    ),
    "an exception made by the tests goes there and back": (
        "import pytest\nfrom solution import retry\nclass Mine(Exception): pass\ndef test_it():\n    calls = []\n"
        "    def flaky():\n        calls.append(1)\n        if len(calls) < 3: raise Mine('again')\n        return 'ok'\n"
        "    assert retry(flaky, 3) == 'ok'\n    calls.clear()\n    error = Mine('x')\n    def fails(): raise error\n"
        "    with pytest.raises(Mine) as raised:\n        retry(fails, 2)\n    assert raised.value is error",
        "def retry(f, times):\n    for n in range(times):\n        try: return f()\n        except Exception:\n"
        "            if n == times - 1: raise",
    ),
    "deep recursion": (
        "from solution import fib, depth\ndef test_it():\n    assert fib(20) == 6765 and depth(800) == 800",
        "def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\ndef depth(n): return 0 if n == 0 else 1 + depth(n - 1)",
    ),
    "large integers": (
        "import math\nfrom solution import factorial, power\ndef test_it():\n    assert factorial(300) == math.factorial(300)\n"
        "    assert power(7, 6000) == 7 ** 6000 and power(-2, 63) == -2 ** 63 and power(2, 64) - 1 == 18446744073709551615",
        "def factorial(n):\n    r = 1\n    for i in range(2, n + 1): r *= i\n    return r\ndef power(a, b): return a ** b",
    ),
    "floating point": (
        "import math\nimport pytest\nfrom solution import mean, third, special\ndef test_it():\n    assert mean([1, 2]) == 1.5\n"
        "    assert third() == pytest.approx(0.333333, abs=1e-5) and abs(third() - 1 / 3) < 1e-12 and math.isclose(third(), 1 / 3)\n"
        "    nan, inf, zero = special()\n    assert math.isnan(nan) and inf == math.inf and math.copysign(1, zero) == -1.0\n"
        "    assert isinstance(mean([1]), float) and round(third(), 2) == 0.33",
        "def mean(xs): return sum(xs) / len(xs)\ndef third(): return 1 / 3\n"
        "def special(): return float('nan'), float('inf'), -0.0",
    ),
    "sets and frozen sets": (
        "from solution import unique, pairs\ndef test_it():\n    assert unique([1, 1, 2]) == {1, 2} and unique([]) == set()\n"
        "    assert pairs([1, 2, 3]) == {frozenset({1, 2}), frozenset({1, 3}), frozenset({2, 3})}\n"
        "    assert isinstance(unique([1]), set) and unique('aab') | {'c'} == set('abc')",
        "import itertools\ndef unique(xs): return set(xs)\n"
        "def pairs(xs): return {frozenset(p) for p in itertools.combinations(xs, 2)}",
    ),
    "an argument is changed": (
        "from solution import sort, fill, drop, merge\ndef test_it():\n    xs = [3, 1, 2]\n    assert sort(xs) is None and xs == [1, 2, 3]\n"
        "    grid = [[0] * 3 for _ in range(2)]\n    fill(grid, 1, 2, 7)\n    assert grid == [[0, 0, 0], [0, 0, 7]]\n"
        "    d = {'a': 1, 'b': 2}\n    drop(d, 'a')\n    assert d == {'b': 2}\n    s, b = {1}, bytearray(b'ab')\n"
        "    merge(s, b)\n    assert s == {1, 2} and b == bytearray(b'abc')",
        "def sort(xs): xs.sort()\ndef fill(g, r, c, v): g[r][c] = v\ndef drop(d, k): del d[k]\n"
        "def merge(s, b):\n    s.add(2)\n    b.extend(b'c')",
    ),
    "an argument comes back itself": (
        "from solution import extend, same\ndef test_it():\n    xs = []\n    assert extend(xs, 1) is xs and xs == [1]\n"
        "    inner = [1]\n    outer = [inner, inner]\n    assert same(outer)[0] is inner and inner == [1, 2]",
        "def extend(xs, x):\n    xs.append(x)\n    return xs\ndef same(o):\n    o[0].append(2)\n    assert o[0] is o[1]\n    return o",
    ),
    "a nested argument is left unchanged": (
        "import copy\nfrom solution import transpose\ndef test_it():\n    m = [[1, 2], [3, 4]]\n    before = copy.deepcopy(m)\n"
        "    assert transpose(m) == [[1, 3], [2, 4]] and m == before",
        "def transpose(m): return [list(r) for r in zip(*m)]",
    ),
    "callbacks": (
        "from solution import apply, compose, group\ndef test_it():\n    seen = []\n    assert apply(lambda x: x * 2, [1, 2]) == [2, 4]\n"
        "    apply(seen.append, [1, 2])\n    assert seen == [1, 2] and compose(str, abs)(-3) == '3'\n"
        "    assert group(['aa', 'b'], key=len) == {2: ['aa'], 1: ['b']}",
        "def apply(f, xs): return [f(x) for x in xs]\ndef compose(f, g): return lambda x: f(g(x))\n"
        "def group(xs, *, key):\n    d = {}\n    for x in xs: d.setdefault(key(x), []).append(x)\n    return d",
    ),
    "decorators": (
        "from solution import memoize, repeat\n@memoize\ndef slow(n):\n    calls.append(n)\n    return n * 2\ncalls = []\n"
        "@repeat(3)\ndef hello(): calls.append('hi')\n@memoize\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
        "def test_it():\n    assert slow(2) == 4 and slow(2) == 4 and calls == [2] and slow.__name__ == 'slow'\n"
        "    hello()\n    assert calls == [2, 'hi', 'hi', 'hi'] and fib(25) == 75025\n"
        "class TestMethod:\n    @memoize\n    def twice(self, n): return 2 * n\n    def test_bound(self):\n        assert self.twice(4) == 8",
        "import functools\ndef memoize(f):\n    seen = {}\n    @functools.wraps(f)\n    def g(*a):\n"
        "        if a not in seen: seen[a] = f(*a)\n        return seen[a]\n    return g\n"
        "def repeat(n):\n    def around(f):\n        @functools.wraps(f)\n        def g(*a, **k):\n"
        "            for _ in range(n): f(*a, **k)\n        return g\n    return around",
    ),
    "context managers": (
        "import pytest\nfrom solution import Log, section, swallow\ndef test_it():\n    with Log() as log:\n        log.add('a')\n"
        "    assert log.lines == ['open', 'a', 'close']\n    with section('x') as name:\n        assert name == 'x'\n"
        "    with swallow(KeyError):\n        {}['a']\n    with pytest.raises(ValueError), swallow(KeyError):\n        raise ValueError",
        "import contextlib\nclass Log:\n    def __init__(self): self.lines = []\n    def add(self, x): self.lines.append(x)\n"
        "    def __enter__(self):\n        self.add('open')\n        return self\n    def __exit__(self, *a): self.add('close')\n"
        "@contextlib.contextmanager\ndef section(n): yield n\nclass swallow:\n    def __init__(self, kind): self.kind = kind\n"
        "    def __enter__(self): return self\n    def __exit__(self, kind, e, tb): return kind is not None and issubclass(kind, self.kind)",
    ),
    "closures and counters": (
        "from solution import counter, make_adders\ndef test_it():\n    c = counter()\n    assert [c(), c(), c()] == [1, 2, 3] and callable(c)\n"
        "    assert [f(10) for f in make_adders(3)] == [10, 11, 12]",
        "def counter():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n        return n\n    return up\n"
        "def make_adders(n): return [lambda x, i=i: x + i for i in range(n)]",
    ),
    "objects of the tests as arguments": (
        "from solution import depth, reverse, total\nclass Tree:\n    def __init__(self, left=None, right=None):\n"
        "        self.left, self.right = left, right\nclass Link:\n    def __init__(self, value, next=None):\n"
        "        self.value, self.next = value, next\nclass Price:\n    def __init__(self, n): self.n = n\n"
        "    def net(self): return self.n * 2\ndef test_it():\n    assert depth(Tree(Tree(), Tree(Tree(Tree())))) == 4\n"
        "    head = reverse(Link(1, Link(2, Link(3))))\n    assert isinstance(head, Link)\n"
        "    assert (head.value, head.next.value, head.next.next.value, head.next.next.next) == (3, 2, 1, None)\n"
        "    assert total([Price(1), Price(2)]) == 6",
        "def depth(t): return 0 if t is None else 1 + max(depth(t.left), depth(t.right))\n"
        "def reverse(head):\n    before = None\n    while head is not None: head.next, before, head = before, head, head.next\n"
        "    return before\ndef total(ps): return sum(p.net() for p in ps)",
    ),
    "linked nodes of its own": (
        "from solution import Node, build, to_list\ndef test_it():\n    head = build([1, 2, 3])\n"
        "    assert to_list(head) == [1, 2, 3] and head.next.next.next is None and isinstance(head, Node)\n"
        "    head.next = Node(9)\n    assert to_list(head) == [1, 9] and head.next.value == 9 and head == head",
        "class Node:\n    def __init__(self, value, next=None): self.value, self.next = value, next\n"
        "def build(xs):\n    head = None\n    for x in reversed(xs): head = Node(x, head)\n    return head\n"
        "def to_list(n):\n    out = []\n    while n: out, n = out + [n.value], n.next\n    return out",
    ),
    "exact numbers and times": (
        "import datetime as dt, uuid\nfrom decimal import Decimal\nfrom fractions import Fraction\nimport solution\ndef test_it():\n"
        "    assert solution.tax(Decimal('1.10')) == Decimal('0.22') and solution.half(Fraction(1, 3)) == Fraction(1, 6)\n"
        "    assert solution.next_day(dt.date(2024, 2, 28)) == dt.date(2024, 2, 29)\n"
        "    now = dt.datetime(2024, 1, 1, 12, tzinfo=dt.timezone.utc)\n    assert solution.later(now) - now == dt.timedelta(hours=1)\n"
        "    assert solution.rotate(1 + 2j) == -2 + 1j and solution.same(uuid.UUID(int=5)) == uuid.UUID(int=5)",
        "import datetime\ndef tax(d): return d / 5\ndef half(f): return f / 2\ndef next_day(d): return d + datetime.timedelta(1)\n"
        "def later(t): return t + datetime.timedelta(hours=1)\ndef rotate(z): return z * 1j\ndef same(x): return x",
    ),
    "every kind of collection": (
        "from collections import Counter, OrderedDict, defaultdict, deque\nimport solution\ndef test_it():\n"
        "    assert solution.count('abca') == Counter(a=2, b=1, c=1) and solution.last(deque([1, 2], maxlen=2)) == deque([2, 3])\n"
        "    assert solution.order() == OrderedDict(b=1, a=2) and list(solution.order()) == ['b', 'a']\n"
        "    assert solution.words(['a', 'b', 'a'])['zzz'] == [] and solution.keys({'x': 1, 'y': 2}) == {'x', 'y'}\n"
        "    assert solution.cut(range(10)) == range(2, 10, 2) and solution.raw() == b'\\x00\\xff' and solution.nested() == {(1, 2): [{'a': (None, True)}]}",
        "from collections import Counter, OrderedDict, defaultdict\ndef count(t): return Counter(t)\n"
        "def last(d):\n    d.append(3)\n    return d\ndef order(): return OrderedDict(b=1, a=2)\n"
        "def words(ws):\n    d = defaultdict(list)\n    for w in ws: d[w].append(1)\n    return d\ndef keys(d): return d.keys()\n"
        "def cut(r): return r[2::2]\ndef raw(): return bytes([0, 255])\ndef nested(): return {(1, 2): [{'a': (None, True)}]}",
    ),
    "what is printed": (
        "from solution import greet, loud\ndef test_it(capsys):\n    greet('Ann')\n    print('and me')\n    loud()\n"
        "    out, err = capsys.readouterr()\n    assert out == 'Hello Ann\\nand me\\n' and err == 'loud\\n'",
        "import sys\ndef greet(n): print('Hello', n)\ndef loud(): print('loud', file=sys.stderr)",
    ),
    "what is read": (
        "import io\nfrom solution import ask, total\ndef test_it(monkeypatch):\n    monkeypatch.setattr('builtins.input', lambda _='': 'Bob')\n"
        "    assert ask() == 'Hi Bob'\n    monkeypatch.setattr('sys.stdin', io.StringIO('1\\n2\\n3\\n'))\n    assert total() == 6",
        "import sys\ndef ask(): return 'Hi ' + input('Name? ')\ndef total(): return sum(int(line) for line in sys.stdin)",
    ),
    "a name of the module replaced": (
        "import solution\ndef test_it(monkeypatch):\n    monkeypatch.setattr(solution, 'fetch', lambda url: {'t': 20})\n"
        "    assert solution.report('x') == '20 degrees'\n    monkeypatch.setattr(solution, 'UNIT', 'F')\n    assert solution.report('x') == '20 F'",
        "UNIT = 'degrees'\ndef fetch(url): raise OSError\ndef report(url): return f\"{fetch(url)['t']} {UNIT}\"",
    ),
    "mocks": (
        "from unittest.mock import Mock, call\nfrom solution import notify\ndef test_it():\n    send = Mock(return_value=True)\n"
        "    assert notify(send, ['a', 'b']) == 2\n    assert send.call_args_list == [call('a', urgent=True), call('b', urgent=True)]",
        "def notify(send, names): return sum(1 for n in names if send(n, urgent=True))",
    ),
    "warnings": (
        "import pytest\nfrom solution import old\ndef test_it():\n    with pytest.warns(DeprecationWarning, match='use new'):\n        assert old() == 1",
        "import warnings\ndef old():\n    warnings.warn('use new', DeprecationWarning)\n    return 1",
    ),
    "unittest": (
        "import unittest\nfrom solution import add\nclass TestAdd(unittest.TestCase):\n    def setUp(self): self.one = 1\n"
        "    def test_add(self): self.assertEqual(add(self.one, 2), 3)\n    def test_list(self): self.assertListEqual(add([1], [2]), [1, 2])\n"
        "    def test_error(self):\n        with self.assertRaises(TypeError): add(1, 'a')\n"
        "    def test_near(self): self.assertAlmostEqual(add(0.1, 0.2), 0.3)\n    def test_in(self): self.assertIn(3, add([3], []))",
        "def add(a, b): return a + b",
    ),
    "async functions": (
        "import asyncio\nimport pytest\nfrom solution import fetch, both, numbers, Lock\nasync def test_plain():\n    assert await fetch(2) == 4\n"
        "@pytest.mark.asyncio\nasync def test_marked():\n    assert await asyncio.gather(fetch(1), fetch(2)) == [2, 4] and await both() == [2, 4]\n"
        "    assert [n async for n in numbers(3)] == [0, 1, 2]\n    async with Lock() as held:\n        assert held == 'held'\n"
        "def test_run():\n    assert asyncio.run(fetch(5)) == 10",
        "import asyncio\nasync def fetch(n):\n    await asyncio.sleep(0)\n    return 2 * n\n"
        "async def both(): return await asyncio.gather(fetch(1), fetch(2))\nasync def numbers(n):\n    for i in range(n): yield i\n"
        "class Lock:\n    async def __aenter__(self): return 'held'\n    async def __aexit__(self, *a): pass",
    ),
    "threads": (
        "import threading\nfrom solution import Box, parallel\ndef test_it():\n    box = Box()\n"
        "    getter = threading.Thread(target=lambda: got.append(box.get()))\n    got = []\n    getter.start()\n    box.put(5)\n"
        "    getter.join(5)\n    assert got == [5] and sorted(parallel(lambda x: x * x, range(5))) == [0, 1, 4, 9, 16]",
        "import queue\nfrom concurrent.futures import ThreadPoolExecutor\nclass Box:\n    def __init__(self): self.q = queue.Queue()\n"
        "    def put(self, x): self.q.put(x)\n    def get(self): return self.q.get(timeout=5)\n"
        "def parallel(f, xs):\n    with ThreadPoolExecutor(3) as pool: return list(pool.map(f, xs))",
    ),
    "parameters and fixtures": (
        "import pytest\nimport solution\n@pytest.fixture\ndef cache(): return solution.Cache(2)\n"
        "@pytest.mark.parametrize(('n', 'r'), [(1, '1'), (3, 'Fizz'), (5, 'Buzz'), (15, 'FizzBuzz')])\n"
        "def test_fizz(n, r): assert solution.fizz(n) == r\ndef test_cache(cache):\n    cache.put('a', 1)\n    cache.put('b', 2)\n    cache.get('a')\n"
        "    cache.put('c', 3)\n    assert cache.get('b') is None and cache.get('a') == 1 and len(cache) == 2",
        "from collections import OrderedDict\ndef fizz(n): return 'Fizz' * (n % 3 == 0) + 'Buzz' * (n % 5 == 0) or str(n)\n"
        "class Cache(OrderedDict):\n    def __init__(self, size):\n        super().__init__()\n        self.size = size\n"
        "    def get(self, k):\n        if k not in self: return None\n        self.move_to_end(k)\n        return self[k]\n"
        "    def put(self, k, v):\n        self[k] = v\n        if len(self) > self.size: self.popitem(last=False)",
    ),
    "subclasses of containers": (
        "from solution import Matrix, Tags\ndef test_it():\n    m = Matrix([[1, 2], [3, 4]])\n    assert m == [[1, 2], [3, 4]] and m.trace() == 5\n"
        "    assert len(m) == 2 and m[0] == [1, 2]\n    t = Tags({'a': 1})\n    t.rename('a', 'b')\n    assert t == {'b': 1} and dict(t) == {'b': 1}",
        "class Matrix(list):\n    def trace(self): return sum(self[i][i] for i in range(len(self)))\n"
        "class Tags(dict):\n    def rename(self, a, b): self[b] = self.pop(a)",
    ),
    "lists within themselves": (
        "from solution import loop\ndef test_it():\n    x = loop()\n    assert x[0] is x and len(x) == 1",
        "def loop():\n    x = []\n    x.append(x)\n    return x",
    ),
    "copies": (
        "import copy\nfrom solution import Team\ndef test_it():\n    a = Team(['x'])\n    b, c = copy.copy(a), copy.deepcopy(a)\n"
        "    a.add('z')\n    assert c.names == ['x'] and b.names == ['x', 'z'] and b is not a",
        "class Team:\n    def __init__(self, names): self.names = names\n    def add(self, n): self.names.append(n)",
    ),
    "a module-level table and a doc string": (
        "import solution\ndef test_it():\n    assert solution.PRIMES == (2, 3, 5) and solution.first.__doc__ == 'The first.'\n"
        "    assert 'first' in dir(solution) and callable(solution.first) and solution.first.__name__ == 'first'\n"
        "    assert not hasattr(solution, 'second')",
        "PRIMES = (2, 3, 5)\ndef first():\n    'The first.'\n    return PRIMES[0]",
    ),
    "a star import": (
        "from solution import *\ndef test_it():\n    assert f(2) == 4 and LIMIT == 9",
        "LIMIT = 9\ndef f(x): return x * 2",
    ),
    "keyword and default arguments": (
        "from solution import f\ndef test_it():\n    assert f(1) == (1, 2, (), {}) and f(1, 5, 6, k=7) == (1, 5, (6,), {'k': 7})\n"
        "    assert f(a=3, b=4) == (3, 4, (), {})",
        "def f(a, b=2, *args, **kwargs): return a, b, args, kwargs",
    ),
    "text in every script": (
        "from solution import flip\ndef test_it():\n    assert flip('äß€😀') == '😀€ßä' and flip('\\ud800a') == 'a\\ud800' and flip('') == ''\n"
        "    assert flip('a\\x00\\u2028\\n') == '\\n\\u2028\\x00a'",
        "def flip(t): return t[::-1]",
    ),
}


@pytest.fixture(scope="module")
def sandbox():
    return BubblewrapSandbox(default_runtime_folder(load_settings().cache))


# In one process too: these tests ask for nothing that only the stand-in would give.
@pytest.mark.parametrize("isolation", ["process", "shared"])
@pytest.mark.parametrize("name", HONEST)
def test_an_honest_solution_is_accepted(sandbox, name, isolation):
    tests, solution = HONEST[name]
    check = CheckSpec(name="p", kind="python", value="t_it.py", files={"t_it.py": tests}, isolation=isolation)
    verdict = PythonValidator().validate(f"```python\n{solution}\n```", check, sandbox, Silent())
    assert verdict.passed, verdict.feedback


@pytest.mark.parametrize(
    "name", ["a class with state", "generators", "exceptions of its own", "callbacks", "sets and frozen sets"]
)
def test_the_same_tests_refuse_a_solution_without_its_last_line(sandbox, name):
    tests, solution = HONEST[name]
    check = CheckSpec(name="p", kind="python", value="t_it.py", files={"t_it.py": tests})
    shorter = "\n".join(solution.splitlines()[:-1]) + "\n    pass\n"
    assert not PythonValidator().validate(f"```python\n{shorter}\n```", check, sandbox, Silent()).passed

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
        """
from solution import Account
def test_it():
    a = Account(10)
    a.deposit(5)
    a.owner = 'Ann'
    assert a.balance == 15 and a.owner == 'Ann' and isinstance(a, Account) and type(a) is Account
    del a.owner
    assert not hasattr(a, 'owner')
""",
        """
class Account:
    def __init__(self, start=0): self._sum = start
    def deposit(self, n): self._sum += n
    @property
    def balance(self): return self._sum
""",
    ),
    "a stack with special methods": (
        """
import solution
def test_it():
    s = solution.Stack()
    assert not s and len(s) == 0
    s.push(1).push(2)
    assert s and list(s) == [1, 2] and 2 in s and s[0] == 1 and s[-1] == 2
    s[0] = 9
    del s[1]
    assert list(reversed(s)) == [9] and repr(s) == 'Stack([9])'
""",
        """
class Stack:
    def __init__(self): self.items = []
    def push(self, x):
        self.items.append(x)
        return self
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __contains__(self, x): return x in self.items
    def __getitem__(self, i): return self.items[i]
    def __setitem__(self, i, x): self.items[i] = x
    def __delitem__(self, i): del self.items[i]
    def __reversed__(self): return reversed(self.items)
    def __repr__(self): return f'Stack({self.items})'
""",
    ),
    "a vector with arithmetic": (
        """
from solution import Vector
def test_it():
    a, b = Vector(1, 2), Vector(3, 4)
    assert a + b == Vector(4, 6) and a * 2 == Vector(2, 4) and 2 * a == Vector(2, 4) and -a == Vector(-1, -2)
    assert a != b and a @ b == 11 and abs(Vector(3, 4)) == 5.0 and len({a, Vector(1, 2)}) == 1
    a += b
    assert (a.x, a.y) == (4, 6) and str(a) == '<4, 6>'
""",
        """
class Vector:
    def __init__(self, x, y): self.x, self.y = x, y
    def __add__(self, o): return Vector(self.x + o.x, self.y + o.y)
    def __mul__(self, k): return Vector(self.x * k, self.y * k)
    __rmul__ = __mul__
    def __neg__(self): return Vector(-self.x, -self.y)
    def __matmul__(self, o): return self.x * o.x + self.y * o.y
    def __abs__(self): return (self.x ** 2 + self.y ** 2) ** 0.5
    def __eq__(self, o): return (self.x, self.y) == (o.x, o.y)
    def __hash__(self): return hash((self.x, self.y))
    def __str__(self): return f'<{self.x}, {self.y}>'
""",
    ),
    "ordering of versions": (
        """
from solution import Version
def test_it():
    assert Version('1.10') > Version('1.9')
    assert sorted([Version('2.0'), Version('1.0')])[0] == Version('1.0')
    assert max(Version('1'), Version('3')) == Version('3')
""",
        """
import functools
@functools.total_ordering
class Version:
    def __init__(self, t): self.parts = [int(p) for p in t.split('.')]
    def __eq__(self, o): return self.parts == o.parts
    def __lt__(self, o): return self.parts < o.parts
""",
    ),
    "inheritance and abstract classes": (
        """
import pytest
import solution
def test_it():
    d = solution.Dog('Rex')
    assert d.speak() == 'Rex: Woof' and isinstance(d, solution.Animal) and issubclass(solution.Dog, solution.Animal)
    assert not isinstance(d, solution.Cat)
    with pytest.raises(TypeError):
        solution.Animal('x')
""",
        """
import abc
class Animal(abc.ABC):
    def __init__(self, name): self.name = name
    @abc.abstractmethod
    def sound(self): ...
    def speak(self): return f'{self.name}: {self.sound()}'
class Dog(Animal):
    def sound(self): return 'Woof'
class Cat(Animal):
    def sound(self): return 'Meow'
""",
    ),
    "class methods, static methods, constants": (
        """
from solution import Circle
def test_it():
    assert Circle.unit().radius == 1 and Circle.area_of(2) == 12
    assert Circle.SIDES == 0 and Circle.made == 1
""",
        """
class Circle:
    SIDES = 0
    made = 0
    def __init__(self, r):
        self.radius = r
        Circle.made += 1
    @classmethod
    def unit(cls): return cls(1)
    @staticmethod
    def area_of(r): return 3 * r * r
""",
    ),
    "dataclasses": (
        """
import dataclasses
from solution import Point, move
def test_it():
    p = Point(1, y=2)
    assert p == Point(1, 2) and p != Point(2, 1) and move(p) == Point(2, 3) and p.norm() == 3
    assert dataclasses.asdict(p) == {'x': 1, 'y': 2} and dataclasses.replace(p, x=5) == Point(5, 2)
    assert repr(p) == 'Point(x=1, y=2)' and Point(1, 2) < Point(1, 3) and {Point(1, 1): 'a'}[Point(1, 1)] == 'a'
    match p:
        case Point(x, y): assert (x, y) == (1, 2)
""",
        """
from dataclasses import dataclass
@dataclass(frozen=True, order=True)
class Point:
    x: int
    y: int = 0
    def norm(self): return abs(self.x) + abs(self.y)
def move(p): return Point(p.x + 1, p.y + 1)
""",
    ),
    "a frozen dataclass refuses to change": (
        """
import dataclasses
import pytest
from solution import P
def test_it():
    with pytest.raises(dataclasses.FrozenInstanceError):
        P(1).x = 2
""",
        """
from dataclasses import dataclass
@dataclass(frozen=True)
class P:
    x: int
""",
    ),
    "a named tuple": (
        """
from solution import make
def test_it():
    p = make()
    assert p == (1, 2) and p.x == 1 and p._asdict() == {'x': 1, 'y': 2}
    a, b = p
    assert (a, b) == (1, 2) and isinstance(p, tuple) and p.sum() == 3
""",
        """
from typing import NamedTuple
class P(NamedTuple):
    x: int
    y: int
    def sum(self): return self.x + self.y
def make(): return P(1, 2)
""",
    ),
    "enumerations": (
        """
from solution import Color, Level, next_color
def test_it():
    assert Color.RED is Color.RED and Color['RED'] is Color.RED
    assert Color(2) is Color.BLUE and next_color(Color.RED) is Color.BLUE and Color.RED.value == 1
    assert [c.name for c in Color] == ['RED', 'BLUE'] and len(Color) == 2 and Color.RED in {Color.RED: 1}
    assert Level.LOW < Level.HIGH and Level.LOW == 1 and Level.HIGH.name == 'HIGH'
""",
        """
import enum
class Color(enum.Enum):
    RED = 1
    BLUE = 2
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2
def next_color(c): return Color.BLUE if c is Color.RED else Color.RED
""",
    ),
    "generators": (
        """
import itertools, types
from solution import naturals, echo
def test_it():
    assert list(itertools.islice(naturals(), 4)) == [0, 1, 2, 3] and isinstance(naturals(), types.GeneratorType)
    g = echo()
    assert next(g) is None and g.send(5) == 10
    g.close()
    assert list(g) == []
""",
        """
def naturals():
    n = 0
    while True:
        yield n
        n += 1
def echo():
    x = None
    while True:
        x = yield x and x * 2
""",
    ),
    "a generator's return, and what is thrown into it": (
        """
import pytest
from solution import worker, outer
def test_it():
    g = worker()
    next(g)
    assert g.throw(ValueError('x')) == 'caught x'
    with pytest.raises(StopIteration) as end:
        next(g)
    assert end.value.value == 'done' and list(outer()) == [None, 'back done'] or True
""",
        """
def worker():
    try: yield
    except ValueError as e: yield f'caught {e}'
    return 'done'
def outer():
    yield 'back ' + (yield from worker())
""",
    ),
    "an iterator class": (
        """
from solution import Countdown
def test_it():
    c = Countdown(3)
    assert iter(c) is c and next(c) == 3
    assert [n for n in c] == [2, 1] and sum(Countdown(4)) == 10 and sorted(Countdown(3)) == [1, 2, 3]
""",
        """
class Countdown:
    def __init__(self, n): self.n = n + 1
    def __iter__(self): return self
    def __next__(self):
        self.n -= 1
        if self.n <= 0: raise StopIteration
        return self.n
""",
    ),
    "exceptions of its own": (
        """
import pytest
from solution import withdraw, Insufficient, BankError
def test_it():
    with pytest.raises(Insufficient, match='need 5 more') as raised:
        withdraw(5, 10)
    assert raised.value.missing == 5 and isinstance(raised.value, BankError) and isinstance(raised.value, ValueError)
    assert issubclass(Insufficient, BankError) and raised.value.hint() == 'save'
    with pytest.raises(BankError):
        withdraw(0, 1)
""",
        """
class BankError(ValueError): pass
class Insufficient(BankError):
    def __init__(self, missing):
        super().__init__(f'need {missing} more')
        self.missing = missing
    def hint(self): return 'save'
def withdraw(has, wants):
    if wants > has: raise Insufficient(wants - has)
""",
    ),
    "Python's exceptions, and their causes": (
        """
import json
import pytest
import solution
def test_it():
    with pytest.raises(ZeroDivisionError):
        solution.div(1, 0)
    with pytest.raises(KeyError, match='gone'):
        solution.find('gone')
    with pytest.raises(RuntimeError) as raised:
        solution.wrap('{')
    assert isinstance(raised.value.__cause__, json.JSONDecodeError)
    with pytest.raises(SystemExit):
        solution.leave()
    with pytest.raises(FileNotFoundError, match='nowhere'):
        open_it = solution.read('nowhere')
""",
        """
import json, sys
def div(a, b): return a / b
def find(k): return {}[k]
def wrap(t):
    try: json.loads(t)
    except ValueError as e: raise RuntimeError('bad') from e
def leave(): sys.exit(3)
def read(p): return open(p).read()
""",
    ),
    "an exception made by the tests goes there and back": (
        """
import pytest
from solution import retry
class Mine(Exception): pass
def test_it():
    calls = []
    def flaky():
        calls.append(1)
        if len(calls) < 3: raise Mine('again')
        return 'ok'
    assert retry(flaky, 3) == 'ok'
    calls.clear()
    error = Mine('x')
    def fails(): raise error
    with pytest.raises(Mine) as raised:
        retry(fails, 2)
    assert raised.value is error
""",
        """
def retry(f, times):
    for n in range(times):
        try: return f()
        except Exception:
            if n == times - 1: raise
""",
    ),
    "deep recursion": (
        """
from solution import fib, depth
def test_it():
    assert fib(20) == 6765 and depth(800) == 800
""",
        """
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
""",
    ),
    "large integers": (
        """
import math
from solution import factorial, power
def test_it():
    assert factorial(300) == math.factorial(300)
    assert power(7, 6000) == 7 ** 6000 and power(-2, 63) == -2 ** 63 and power(2, 64) - 1 == 18446744073709551615
""",
        """
def factorial(n):
    r = 1
    for i in range(2, n + 1): r *= i
    return r
def power(a, b): return a ** b
""",
    ),
    "floating point": (
        """
import math
import pytest
from solution import mean, third, special
def test_it():
    assert mean([1, 2]) == 1.5
    assert third() == pytest.approx(0.333333, abs=1e-5) and abs(third() - 1 / 3) < 1e-12
    assert math.isclose(third(), 1 / 3)
    nan, inf, zero = special()
    assert math.isnan(nan) and inf == math.inf and math.copysign(1, zero) == -1.0
    assert isinstance(mean([1]), float) and round(third(), 2) == 0.33
""",
        """
def mean(xs): return sum(xs) / len(xs)
def third(): return 1 / 3
def special(): return float('nan'), float('inf'), -0.0
""",
    ),
    "sets and frozen sets": (
        """
from solution import unique, pairs
def test_it():
    assert unique([1, 1, 2]) == {1, 2} and unique([]) == set()
    assert pairs([1, 2, 3]) == {frozenset({1, 2}), frozenset({1, 3}), frozenset({2, 3})}
    assert isinstance(unique([1]), set) and unique('aab') | {'c'} == set('abc')
""",
        """
import itertools
def unique(xs): return set(xs)
def pairs(xs): return {frozenset(p) for p in itertools.combinations(xs, 2)}
""",
    ),
    "an argument is changed": (
        """
from solution import sort, fill, drop, merge
def test_it():
    xs = [3, 1, 2]
    assert sort(xs) is None and xs == [1, 2, 3]
    grid = [[0] * 3 for _ in range(2)]
    fill(grid, 1, 2, 7)
    assert grid == [[0, 0, 0], [0, 0, 7]]
    d = {'a': 1, 'b': 2}
    drop(d, 'a')
    assert d == {'b': 2}
    s, b = {1}, bytearray(b'ab')
    merge(s, b)
    assert s == {1, 2} and b == bytearray(b'abc')
""",
        """
def sort(xs): xs.sort()
def fill(g, r, c, v): g[r][c] = v
def drop(d, k): del d[k]
def merge(s, b):
    s.add(2)
    b.extend(b'c')
""",
    ),
    "an argument comes back itself": (
        """
from solution import extend, same
def test_it():
    xs = []
    assert extend(xs, 1) is xs and xs == [1]
    inner = [1]
    outer = [inner, inner]
    assert same(outer)[0] is inner and inner == [1, 2]
""",
        """
def extend(xs, x):
    xs.append(x)
    return xs
def same(o):
    o[0].append(2)
    assert o[0] is o[1]
    return o
""",
    ),
    "a nested argument is left unchanged": (
        """
import copy
from solution import transpose
def test_it():
    m = [[1, 2], [3, 4]]
    before = copy.deepcopy(m)
    assert transpose(m) == [[1, 3], [2, 4]] and m == before
""",
        """
def transpose(m): return [list(r) for r in zip(*m)]
""",
    ),
    "callbacks": (
        """
from solution import apply, compose, group
def test_it():
    seen = []
    assert apply(lambda x: x * 2, [1, 2]) == [2, 4]
    apply(seen.append, [1, 2])
    assert seen == [1, 2] and compose(str, abs)(-3) == '3'
    assert group(['aa', 'b'], key=len) == {2: ['aa'], 1: ['b']}
""",
        """
def apply(f, xs): return [f(x) for x in xs]
def compose(f, g): return lambda x: f(g(x))
def group(xs, *, key):
    d = {}
    for x in xs: d.setdefault(key(x), []).append(x)
    return d
""",
    ),
    "decorators": (
        """
from solution import memoize, repeat
@memoize
def slow(n):
    calls.append(n)
    return n * 2
calls = []
@repeat(3)
def hello(): calls.append('hi')
@memoize
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def test_it():
    assert slow(2) == 4 and slow(2) == 4 and calls == [2] and slow.__name__ == 'slow'
    hello()
    assert calls == [2, 'hi', 'hi', 'hi'] and fib(25) == 75025
class TestMethod:
    @memoize
    def twice(self, n): return 2 * n
    def test_bound(self):
        assert self.twice(4) == 8
""",
        """
import functools
def memoize(f):
    seen = {}
    @functools.wraps(f)
    def g(*a):
        if a not in seen: seen[a] = f(*a)
        return seen[a]
    return g
def repeat(n):
    def around(f):
        @functools.wraps(f)
        def g(*a, **k):
            for _ in range(n): f(*a, **k)
        return g
    return around
""",
    ),
    "context managers": (
        """
import pytest
from solution import Log, section, swallow
def test_it():
    with Log() as log:
        log.add('a')
    assert log.lines == ['open', 'a', 'close']
    with section('x') as name:
        assert name == 'x'
    with swallow(KeyError):
        {}['a']
    with pytest.raises(ValueError), swallow(KeyError):
        raise ValueError
""",
        """
import contextlib
class Log:
    def __init__(self): self.lines = []
    def add(self, x): self.lines.append(x)
    def __enter__(self):
        self.add('open')
        return self
    def __exit__(self, *a): self.add('close')
@contextlib.contextmanager
def section(n): yield n
class swallow:
    def __init__(self, kind): self.kind = kind
    def __enter__(self): return self
    def __exit__(self, kind, e, tb): return kind is not None and issubclass(kind, self.kind)
""",
    ),
    "closures and counters": (
        """
from solution import counter, make_adders
def test_it():
    c = counter()
    assert [c(), c(), c()] == [1, 2, 3] and callable(c)
    assert [f(10) for f in make_adders(3)] == [10, 11, 12]
""",
        """
def counter():
    n = 0
    def up():
        nonlocal n
        n += 1
        return n
    return up
def make_adders(n): return [lambda x, i=i: x + i for i in range(n)]
""",
    ),
    "objects of the tests as arguments": (
        """
from solution import depth, reverse, total
class Tree:
    def __init__(self, left=None, right=None):
        self.left, self.right = left, right
class Link:
    def __init__(self, value, next=None):
        self.value, self.next = value, next
class Price:
    def __init__(self, n): self.n = n
    def net(self): return self.n * 2
def test_it():
    assert depth(Tree(Tree(), Tree(Tree(Tree())))) == 4
    head = reverse(Link(1, Link(2, Link(3))))
    assert isinstance(head, Link)
    assert (head.value, head.next.value, head.next.next.value, head.next.next.next) == (3, 2, 1, None)
    assert total([Price(1), Price(2)]) == 6
""",
        """
def depth(t): return 0 if t is None else 1 + max(depth(t.left), depth(t.right))
def reverse(head):
    before = None
    while head is not None: head.next, before, head = before, head, head.next
    return before
def total(ps): return sum(p.net() for p in ps)
""",
    ),
    "linked nodes of its own": (
        """
from solution import Node, build, to_list
def test_it():
    head = build([1, 2, 3])
    assert to_list(head) == [1, 2, 3] and head.next.next.next is None and isinstance(head, Node)
    head.next = Node(9)
    assert to_list(head) == [1, 9] and head.next.value == 9 and head == head
""",
        """
class Node:
    def __init__(self, value, next=None): self.value, self.next = value, next
def build(xs):
    head = None
    for x in reversed(xs): head = Node(x, head)
    return head
def to_list(n):
    out = []
    while n: out, n = out + [n.value], n.next
    return out
""",
    ),
    "exact numbers and times": (
        """
import datetime as dt, uuid
from decimal import Decimal
from fractions import Fraction
import solution
def test_it():
    assert solution.tax(Decimal('1.10')) == Decimal('0.22') and solution.half(Fraction(1, 3)) == Fraction(1, 6)
    assert solution.next_day(dt.date(2024, 2, 28)) == dt.date(2024, 2, 29)
    now = dt.datetime(2024, 1, 1, 12, tzinfo=dt.timezone.utc)
    assert solution.later(now) - now == dt.timedelta(hours=1)
    assert solution.rotate(1 + 2j) == -2 + 1j and solution.same(uuid.UUID(int=5)) == uuid.UUID(int=5)
""",
        """
import datetime
def tax(d): return d / 5
def half(f): return f / 2
def next_day(d): return d + datetime.timedelta(1)
def later(t): return t + datetime.timedelta(hours=1)
def rotate(z): return z * 1j
def same(x): return x
""",
    ),
    "every kind of collection": (
        r"""
from collections import Counter, OrderedDict, defaultdict, deque
import solution
def test_it():
    assert solution.count('abca') == Counter(a=2, b=1, c=1) and solution.last(deque([1, 2], maxlen=2)) == deque([2, 3])
    assert solution.order() == OrderedDict(b=1, a=2) and list(solution.order()) == ['b', 'a']
    assert solution.words(['a', 'b', 'a'])['zzz'] == [] and solution.keys({'x': 1, 'y': 2}) == {'x', 'y'}
    assert solution.cut(range(10)) == range(2, 10, 2) and solution.raw() == b'\x00\xff'
    assert solution.nested() == {(1, 2): [{'a': (None, True)}]}
""",
        """
from collections import Counter, OrderedDict, defaultdict
def count(t): return Counter(t)
def last(d):
    d.append(3)
    return d
def order(): return OrderedDict(b=1, a=2)
def words(ws):
    d = defaultdict(list)
    for w in ws: d[w].append(1)
    return d
def keys(d): return d.keys()
def cut(r): return r[2::2]
def raw(): return bytes([0, 255])
def nested(): return {(1, 2): [{'a': (None, True)}]}
""",
    ),
    "what is printed": (
        r"""
from solution import greet, loud
def test_it(capsys):
    greet('Ann')
    print('and me')
    loud()
    out, err = capsys.readouterr()
    assert out == 'Hello Ann\nand me\n' and err == 'loud\n'
""",
        """
import sys
def greet(n): print('Hello', n)
def loud(): print('loud', file=sys.stderr)
""",
    ),
    "what is read": (
        r"""
import io
from solution import ask, total
def test_it(monkeypatch):
    monkeypatch.setattr('builtins.input', lambda _='': 'Bob')
    assert ask() == 'Hi Bob'
    monkeypatch.setattr('sys.stdin', io.StringIO('1\n2\n3\n'))
    assert total() == 6
""",
        """
import sys
def ask(): return 'Hi ' + input('Name? ')
def total(): return sum(int(line) for line in sys.stdin)
""",
    ),
    "a name of the module replaced": (
        """
import solution
def test_it(monkeypatch):
    monkeypatch.setattr(solution, 'fetch', lambda url: {'t': 20})
    assert solution.report('x') == '20 degrees'
    monkeypatch.setattr(solution, 'UNIT', 'F')
    assert solution.report('x') == '20 F'
""",
        """
UNIT = 'degrees'
def fetch(url): raise OSError
def report(url): return f"{fetch(url)['t']} {UNIT}"
""",
    ),
    "mocks": (
        """
from unittest.mock import Mock, call
from solution import notify
def test_it():
    send = Mock(return_value=True)
    assert notify(send, ['a', 'b']) == 2
    assert send.call_args_list == [call('a', urgent=True), call('b', urgent=True)]
""",
        """
def notify(send, names): return sum(1 for n in names if send(n, urgent=True))
""",
    ),
    "warnings": (
        """
import pytest
from solution import old
def test_it():
    with pytest.warns(DeprecationWarning, match='use new'):
        assert old() == 1
""",
        """
import warnings
def old():
    warnings.warn('use new', DeprecationWarning)
    return 1
""",
    ),
    "unittest": (
        """
import unittest
from solution import add
class TestAdd(unittest.TestCase):
    def setUp(self): self.one = 1
    def test_add(self): self.assertEqual(add(self.one, 2), 3)
    def test_list(self): self.assertListEqual(add([1], [2]), [1, 2])
    def test_error(self):
        with self.assertRaises(TypeError): add(1, 'a')
    def test_near(self): self.assertAlmostEqual(add(0.1, 0.2), 0.3)
    def test_in(self): self.assertIn(3, add([3], []))
""",
        """
def add(a, b): return a + b
""",
    ),
    "async functions": (
        """
import asyncio
import pytest
from solution import fetch, both, numbers, Lock
async def test_plain():
    assert await fetch(2) == 4
@pytest.mark.asyncio
async def test_marked():
    assert await asyncio.gather(fetch(1), fetch(2)) == [2, 4] and await both() == [2, 4]
    assert [n async for n in numbers(3)] == [0, 1, 2]
    async with Lock() as held:
        assert held == 'held'
def test_run():
    assert asyncio.run(fetch(5)) == 10
""",
        """
import asyncio
async def fetch(n):
    await asyncio.sleep(0)
    return 2 * n
async def both(): return await asyncio.gather(fetch(1), fetch(2))
async def numbers(n):
    for i in range(n): yield i
class Lock:
    async def __aenter__(self): return 'held'
    async def __aexit__(self, *a): pass
""",
    ),
    "threads": (
        """
import threading
from solution import Box, parallel
def test_it():
    box = Box()
    getter = threading.Thread(target=lambda: got.append(box.get()))
    got = []
    getter.start()
    box.put(5)
    getter.join(5)
    assert got == [5] and sorted(parallel(lambda x: x * x, range(5))) == [0, 1, 4, 9, 16]
""",
        """
import queue
from concurrent.futures import ThreadPoolExecutor
class Box:
    def __init__(self): self.q = queue.Queue()
    def put(self, x): self.q.put(x)
    def get(self): return self.q.get(timeout=5)
def parallel(f, xs):
    with ThreadPoolExecutor(3) as pool: return list(pool.map(f, xs))
""",
    ),
    "parameters and fixtures": (
        """
import pytest
import solution
@pytest.fixture
def cache(): return solution.Cache(2)
@pytest.mark.parametrize(('n', 'r'), [(1, '1'), (3, 'Fizz'), (5, 'Buzz'), (15, 'FizzBuzz')])
def test_fizz(n, r): assert solution.fizz(n) == r
def test_cache(cache):
    cache.put('a', 1)
    cache.put('b', 2)
    cache.get('a')
    cache.put('c', 3)
    assert cache.get('b') is None and cache.get('a') == 1 and len(cache) == 2
""",
        """
from collections import OrderedDict
def fizz(n): return 'Fizz' * (n % 3 == 0) + 'Buzz' * (n % 5 == 0) or str(n)
class Cache(OrderedDict):
    def __init__(self, size):
        super().__init__()
        self.size = size
    def get(self, k):
        if k not in self: return None
        self.move_to_end(k)
        return self[k]
    def put(self, k, v):
        self[k] = v
        if len(self) > self.size: self.popitem(last=False)
""",
    ),
    "subclasses of containers": (
        """
from solution import Matrix, Tags
def test_it():
    m = Matrix([[1, 2], [3, 4]])
    assert m == [[1, 2], [3, 4]] and m.trace() == 5
    assert len(m) == 2 and m[0] == [1, 2]
    t = Tags({'a': 1})
    t.rename('a', 'b')
    assert t == {'b': 1} and dict(t) == {'b': 1}
""",
        """
class Matrix(list):
    def trace(self): return sum(self[i][i] for i in range(len(self)))
class Tags(dict):
    def rename(self, a, b): self[b] = self.pop(a)
""",
    ),
    "lists within themselves": (
        """
from solution import loop
def test_it():
    x = loop()
    assert x[0] is x and len(x) == 1
""",
        """
def loop():
    x = []
    x.append(x)
    return x
""",
    ),
    "copies": (
        """
import copy
from solution import Team
def test_it():
    a = Team(['x'])
    b, c = copy.copy(a), copy.deepcopy(a)
    a.add('z')
    assert c.names == ['x'] and b.names == ['x', 'z'] and b is not a
""",
        """
class Team:
    def __init__(self, names): self.names = names
    def add(self, n): self.names.append(n)
""",
    ),
    "a module-level table and a doc string": (
        """
import solution
def test_it():
    assert solution.PRIMES == (2, 3, 5) and solution.first.__doc__ == 'The first.'
    assert 'first' in dir(solution) and callable(solution.first) and solution.first.__name__ == 'first'
    assert not hasattr(solution, 'second')
""",
        """
PRIMES = (2, 3, 5)
def first():
    'The first.'
    return PRIMES[0]
""",
    ),
    "a star import": (
        """
from solution import *
def test_it():
    assert f(2) == 4 and LIMIT == 9
""",
        """
LIMIT = 9
def f(x): return x * 2
""",
    ),
    "files that the tests write and read": (
        r"""
import tempfile
from solution import count, save, names
def test_it(tmp_path, monkeypatch):
    (tmp_path / 'in.txt').write_text('a\nb\n')
    assert count(tmp_path / 'in.txt') == 2
    save(str(tmp_path / 'out.txt'), 'x')
    assert (tmp_path / 'out.txt').read_text() == 'x'
    assert names(tmp_path) == ['in.txt', 'out.txt']
    monkeypatch.chdir(tmp_path)
    save('here.txt', 'y')
    assert (tmp_path / 'here.txt').read_text() == 'y'
    with tempfile.NamedTemporaryFile('w', suffix='.csv') as f:
        f.write('1\n2\n')
        f.flush()
        assert count(f.name) == 2
""",
        """
import os
def count(path):
    with open(path) as f: return len(f.readlines())
def save(path, text):
    with open(path, 'w') as f: f.write(text)
def names(folder): return sorted(os.listdir(folder))
""",
    ),
    "keyword and default arguments": (
        """
from solution import f
def test_it():
    assert f(1) == (1, 2, (), {}) and f(1, 5, 6, k=7) == (1, 5, (6,), {'k': 7})
    assert f(a=3, b=4) == (3, 4, (), {})
""",
        """
def f(a, b=2, *args, **kwargs): return a, b, args, kwargs
""",
    ),
    "text in every script": (
        r"""
from solution import flip
def test_it():
    assert flip('äß€😀') == '😀€ßä' and flip('\ud800a') == 'a\ud800' and flip('') == ''
    assert flip('a\x00\u2028\n') == '\n\u2028\x00a'
""",
        """
def flip(t): return t[::-1]
""",
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

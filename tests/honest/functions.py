"""Solutions that are functions: generators, exceptions, recursion, callbacks, decorators, coroutines, threads."""

from __future__ import annotations

# name: (tests, solution)
FUNCTIONS = {
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
}

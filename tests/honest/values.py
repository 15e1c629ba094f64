"""Solutions judged by what they give back or change: numbers, texts, times, collections, arguments."""

from __future__ import annotations

# name: (tests, solution)
VALUES = {
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

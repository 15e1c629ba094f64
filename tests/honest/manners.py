"""Solutions judged in the manners of pytest and unittest: output, input, files, mocks, patches, fixtures."""

from __future__ import annotations

# name: (tests, solution)
MANNERS = {
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
}

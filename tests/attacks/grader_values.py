"""Values that lie about how they compare, and tests in the ways in which people write them."""

from __future__ import annotations

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

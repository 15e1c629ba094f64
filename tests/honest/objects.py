"""Solutions with classes of their own: state, special methods, inheritance, dataclasses, enumerations."""

from __future__ import annotations

# name: (tests, solution)
OBJECTS = {
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
}

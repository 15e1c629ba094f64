"""Candidates that look into what a test hands them."""

from __future__ import annotations

BY_OBJECT = """
def test_it():
    import solution
    class Case:
        def __init__(self): self._expected = 42; self.given = 21
    case = Case()
    assert solution.double(case) == 42
"""
INTO_OBJECT = {
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
BY_CALLBACK = """
EXPECTED = 42
def test_it():
    import solution
    def given(): return 21
    assert solution.double(given) == EXPECTED
"""
INTO_CALLBACK = {
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

"""Tests as people lay them out, from the job's folder to the verdict of the real sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.jobchecks import build_checks
from tasks.settings import load_settings
from tasks.types import Verdict
from tasks.validators import registry
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder

pytestmark = pytest.mark.integration

RIGHT, WRONG = "```python\ndef twice(x):\n    return 2 * x\n```", "```python\ndef twice(x):\n    return x\n```"
TEST = "from solution import twice\n\n\ndef test_twice():\n    assert twice(4) == 8\n"

LAYOUTS: dict[str, tuple[str, Mapping[str, str | bytes]]] = {
    "a module beside the test": (
        "t.py",
        {"t.py": "import near\nfrom solution import twice\n\ndef test_it():\n    assert near.same(twice(4), 8)\n",
         "near.py": "from further import EPS\ndef same(a, b): return abs(a - b) < EPS\n", "further.py": "EPS = 1e-9\n"},
    ),
    "a package beside the test": (
        "t.py",
        {"t.py": "from kit.values import PAIRS\nfrom solution import twice\n\ndef test_it():\n"
                 "    assert all(twice(a) == b for a, b in PAIRS)\n",
         "kit/__init__.py": "", "kit/values.py": "from .more import PAIRS\n", "kit/more.py": "PAIRS = [(4, 8)]\n"},
    ),
    "tests that are a package": (
        "tests/test_it.py",
        {"tests/__init__.py": "", "tests/near.py": "WANTED = 8\n",
         "tests/test_it.py": "from .near import WANTED\nfrom solution import twice\n\ndef test_it():\n"
                             "    assert twice(4) == WANTED\n"},
    ),
    "a module above the test": (
        "tests/test_it.py",
        {"near.py": "WANTED = 8\n",
         "tests/test_it.py": "from near import WANTED\nfrom solution import twice\n\ndef test_it():\n"
                             "    assert twice(4) == WANTED\n"},
    ),
    "a module by the name of its folder": (
        "tests/test_it.py",
        {"tests/near.py": "WANTED = 8\n",
         "tests/test_it.py": "from tests.near import WANTED\nfrom solution import twice\n\ndef test_it():\n"
                             "    assert twice(4) == WANTED\n"},
    ),
    "fixtures of two folders": (
        "tests/test_it.py",
        {"conftest.py": "import pytest\n@pytest.fixture\ndef four(): return 4\n",
         "tests/conftest.py": "import pytest\n@pytest.fixture\ndef eight(four): return four + 4\n",
         "tests/test_it.py": "from solution import twice\n\ndef test_it(four, eight):\n"
                             "    assert twice(four) == eight\n"},
    ),
    "data beside the test": (
        "tests/test_it.py",
        {"tests/data/pairs.json": "[[4, 8]]", "tests/data/raw.bin": b"\xff\x00\x04",
         "tests/test_it.py": "import json\nfrom pathlib import Path\nfrom solution import twice\n"
                             "DATA = Path(__file__).parent / 'data'\n\ndef test_it():\n"
                             "    assert [[x, twice(x)] for x, _ in json.loads((DATA / 'pairs.json').read_text())]"
                             " == [[4, 8]]\n"
                             "    assert twice((DATA / 'raw.bin').read_bytes()[2]) == 8\n"},
    ),
    "data above the test": (
        "tests/test_it.py",
        {"shared/pairs.csv": "4,8\n",
         "tests/test_it.py": "from pathlib import Path\nfrom solution import twice\n\ndef test_it():\n"
                             "    path = Path(__file__).parent.parent / 'shared' / 'pairs.csv'\n"
                             "    a, b = map(int, path.read_text().split(','))\n    assert twice(a) == b\n"},
    ),
    "data by a name of the current folder": (
        "t.py",
        {"pairs.csv": "4,8\n",
         "t.py": "from solution import twice\n\ndef test_it():\n"
                 "    a, b = map(int, open('pairs.csv').read().split(','))\n    assert twice(a) == b\n"},
    ),
    "a folder of tests": (
        "tests/",
        {"tests/conftest.py": "import pytest\n@pytest.fixture\ndef four(): return 4\n", "tests/near.py": "WANTED = 8\n",
         "tests/test_a.py": "from near import WANTED\nfrom solution import twice\n\ndef test_a(four):\n"
                            "    assert twice(four) == WANTED\n",
         "tests/deep/b_test.py": "import unittest\nfrom solution import twice\n\nclass B(unittest.TestCase):\n"
                                 "    def test_b(self): self.assertEqual(twice(4), 8)\n"},
    ),
    "a folder of tests with a module above it": (
        "tests",
        {"near.py": "WANTED = 8\n",
         "tests/test_a.py": "from near import WANTED\nfrom solution import twice\n\ndef test_a():\n"
                            "    assert twice(4) == WANTED\n"},
    ),
    "two test files of one name": (
        "tests",
        {"tests/a/test_it.py": TEST, "tests/b/test_it.py": TEST.replace("4) == 8", "5) == 10")},
    ),
    "a test of Windows": ("t.py", {"t.py": ("\ufeff" + TEST.replace("\n", "\r\n")).encode("utf-8")}),
    "a test in UTF-16": ("t.py", {"t.py": TEST.encode("utf-16")}),
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> BubblewrapSandbox:
    return BubblewrapSandbox(default_runtime_folder(load_settings().cache))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_right_answer_passes_and_the_wrong_one_does_not(
    tmp_path: Path, sandbox: BubblewrapSandbox, layout: str
) -> None:
    value, files = LAYOUTS[layout]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    checks = build_checks([{"python": value}], tmp_path, registry)

    def verdict(candidate: str) -> Verdict:
        (found,) = registry.validate(candidate, checks, sandbox, SilentHeartbeat())
        return found

    right = verdict(RIGHT)
    assert (right.passed, right.feedback) == (True, "")
    wrong = verdict(WRONG)
    assert not wrong.passed
    assert "could not be loaded" not in wrong.feedback

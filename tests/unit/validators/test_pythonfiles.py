"""Which files travel with a `python` check, and which imports no answer could satisfy."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.errors import InvalidInput
from tasks.jobchecks import build_checks
from tasks.jobfolder import Typed
from tasks.types import CheckSpec
from tasks.validators import pythonfiles, registry
from tasks.validators.python import PythonValidator
from tasks.validators.pythonfiles import FILES, gather

TEST = "from solution import f\n\n\ndef test_f():\n    assert f()\n"


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def importing(*lines: str) -> str:
    return "\n".join((*lines, TEST))


@pytest.mark.parametrize(
    ("files", "value", "path", "travel"),
    [
        ({"t.py": TEST, "other.py": "", "data.csv": ""}, "t.py", "t.py", {"t.py"}),
        ({"t.py": importing("import near"), "near.py": "import far", "far.py": ""}, "t.py", "t.py", {"far.py"}),
        ({"t.py": importing("from near import x"), "near/__init__.py": "", "near/x.py": ""}, "t.py", "t.py",
         {"near/__init__.py", "near/x.py"}),
        ({"t.py": importing("import a.b.c"), "a/b/c.py": "", "a/b/__init__.py": ""}, "t.py", "t.py", {"a/b/c.py"}),
        ({"in/t.py": TEST, "in/conftest.py": "import near", "in/near.py": ""}, "in/t.py", "t.py",
         {"conftest.py", "near.py"}),
        ({"in/t.py": TEST, "conftest.py": ""}, "in/t.py", "in/t.py", {"in/t.py", "conftest.py"}),
        ({"in/t.py": importing("import near"), "near.py": ""}, "in/t.py", "in/t.py", {"near.py"}),
        ({"u/t.py": importing("from u.near import x"), "u/near.py": ""}, "u/t.py", "u/t.py", {"u/near.py"}),
        ({"u/__init__.py": "", "u/t.py": importing("from . import near"), "u/near.py": ""}, "u/t.py", "u/t.py",
         {"u/__init__.py", "u/near.py"}),
        ({"u/__init__.py": "", "u/v/__init__.py": "", "u/v/t.py": importing("from ..near import x"), "u/near.py": ""},
         "u/v/t.py", "u/v/t.py", {"u/near.py", "u/v/__init__.py"}),
        ({"t.py": importing("from conftest import x"), "conftest.py": "x = 1"}, "t.py", "t.py", {"conftest.py"}),
        ({"t.py": importing('pytest_plugins = ["near"]'), "near.py": ""}, "t.py", "t.py", {"near.py"}),
        ({"t.py": importing('import importlib; n = importlib.import_module("near")'), "near.py": ""}, "t.py", "t.py",
         {"near.py"}),
        ({"t.py": TEST, "solution.py": "def f(): return 1"}, "t.py", "t.py", {"t.py"}),
    ],
)  # fmt: skip
def test_modules_that_a_test_imports_travel(
    tmp_path: Path, files: Mapping[str, str], value: str, path: str, travel: set[str]
) -> None:
    tests, gathered = gather(value, write(tmp_path, files))
    assert tests == path
    assert travel <= set(gathered)
    assert "other.py" not in gathered
    assert "solution.py" not in gathered
    assert next(iter(gathered)) == path
    assert all(gathered[name] for name in (path,))


@pytest.mark.parametrize(
    ("line", "travel"),
    [
        ('ROWS = open("data.csv")', {"data.csv"}),
        ('NAME = "data.csv"', {"data.csv"}),
        ('ROWS = Path(__file__).parent / "big" / "x.json"', {"big/x.json"}),
        ('ROWS = Path(__file__).parent.joinpath("big", "x.json")', {"big/x.json"}),
        ('ROWS = os.path.join(os.path.dirname(__file__), "big/x.json")', {"big/x.json"}),
        ('ROWS = (Path(__file__).parent / "big" / f"{N}.json").open()', {"big/x.json", "big/y.json"}),
        ('ROWS = list((Path(__file__).parent / "big").glob("*.json"))', {"big/x.json", "big/y.json"}),
        ('ROWS = list((Path(__file__).parent / "big").rglob("*.json"))', {"big/x.json", "big/y.json", "big/z.bin"}),
        ('ROWS = list((Path(__file__).parent / "big").glob("**/*.json"))', {"big/x.json", "big/y.json", "big/z.bin"}),
        ('BIG = Path(__file__).parent / "big"', {"big/x.json", "big/y.json", "big/z.bin"}),
        ('ROWS = Path("big/../data.csv")', {"data.csv"}),
        ('UP = Path(__file__).parent.parent / "shared" / "s.txt"', {"../shared/s.txt"}),
        ('UP = os.path.join(os.path.dirname(__file__), "..", "shared", "s.txt")', {"../shared/s.txt"}),
        ('WORD = "big"', set()),
        ('WORD = f"{N}"', set()),
        ('WORD = f"{A}/{B}"', set()),
        ('WORD = "/etc/passwd", "~/x", "../shared/s.txt", "none.csv", ".env", "a" * 3, "%s", ".."', set()),
        ('WORD = Path(__file__).parent / ".." / ".env"', set()),
    ],
)
def test_data_that_a_test_names_travels(tmp_path: Path, line: str, travel: set[str]) -> None:
    data = {"in/data.csv": "1", "in/big/x.json": "{}", "in/big/y.json": "{}", "in/big/z.bin": b"\xff\0"}
    more = {"shared/s.txt": "s", ".env": "KEY", "in/.env": "KEY", "in/t.py": importing("import os", line)}
    path, files = gather("in/t.py", write(tmp_path, {**data, **more}))
    above = any(name.startswith("../") for name in travel)
    expected = {name.removeprefix("../") if name.startswith("../") else f"in/{name}" for name in travel}
    assert set(files) - {path} == (expected if above else set(travel))
    assert path == ("in/t.py" if above else "t.py")
    assert files.get("big/z.bin", b"\xff\0") == b"\xff\0"


def test_a_folder_travels_whole_but_for_what_is_hidden_compiled_or_the_candidates(tmp_path: Path) -> None:
    names = ("test_a.py", "more/b_test.py", "more/d.json", "helper.py", "r.bin")
    left = (
        ".hidden",
        ".git/config",
        "__pycache__/test_a.cpython-311.pyc",
        "old.pyc",
        "solution.py",
        "more/solution.py",
    )
    write(tmp_path / "tests", {name: TEST if name.endswith(".py") else b"\xfe" for name in (*names, *left)})
    os.mkfifo(tmp_path / "tests" / "pipe")
    for value in ("tests/", "tests", "./tests"):
        path, files = gather(value, tmp_path)
        assert path == "."
        assert set(files) == set(names)
        assert set(pythonfiles.files_of_tests(path, files)) == {"test_a.py", "more/b_test.py"}


def test_what_a_folder_needs_from_above_moves_its_root_up(tmp_path: Path) -> None:
    write(tmp_path, {"tests/test_a.py": importing("import near"), "near.py": "", "conftest.py": "", "other.py": ""})
    path, files = gather("tests/", tmp_path)
    assert path == "tests/"
    assert set(files) == {"tests/test_a.py", "near.py", "conftest.py"}
    assert pythonfiles.files_of_tests(path, files) == ("tests/test_a.py",)
    assert pythonfiles.files_of_tests("tests/test_a.py", files) == ("tests/test_a.py",)


def test_the_text_of_modules_is_plain_and_data_stays_as_it_is(tmp_path: Path) -> None:
    windows = importing("import near", 'open("d.csv")').replace("\n", "\r\n")
    _, files = gather(
        "t.py",
        write(tmp_path, {"t.py": windows.encode("utf-16"), "near.py": "\ufeffx = 1\r\n", "d.csv": "\ufeffa\r\n"}),
    )
    assert files == {"t.py": windows.replace("\r\n", "\n"), "near.py": "x = 1\n", "d.csv": "\ufeffa\r\n"}


@pytest.mark.parametrize(
    ("files", "value", "message"),
    [
        ({"tests/helper.py": TEST}, "tests", "this one has none"),
        ({"tests/test_a.py": "x = 1"}, "tests", "named test"),
        ({"t.py": importing("import near"), "near.py": "def (:"}, "t.py", "near.py' is not allowed; valid Python"),
        ({"t.py": importing("import near"), "near.py": b"# \xe9"}, "t.py", "near.py' is not allowed; a text in UTF-8"),
        ({"t.py": importing("import random"), "random.py": ""}, "t.py", "random.py has the name of a module of Python"),
        ({"conftest.py": TEST}, "conftest.py", "is not solution.py"),
        ({f"tests/{n}.txt": "x" for n in range(FILES)} | {"tests/test_a.py": TEST}, "tests", "at most 200 files"),
        ({"tests/test_a.py": TEST, "tests/a.bin": bytes(3_000_000), "tests/b.bin": bytes(3_000_000)}, "tests",
         "at most 4,000,000 bytes"),
        ({"../secret.txt": "s", "t.py": TEST}, "../t.py", "lie in the job's folder"),
        ({".hidden/t.py": TEST}, ".hidden/t.py", "hidden files are never read"),
    ],
)  # fmt: skip
def test_what_cannot_travel_is_refused_in_one_line(
    tmp_path: Path, files: Mapping[str, str], value: str, message: str
) -> None:
    (tmp_path / "job").mkdir()
    with pytest.raises(InvalidInput) as refused:
        PythonValidator().parse(value, write(tmp_path / "job", files))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("line", ["import near", 'open("near.py")', 'x = Path() / "away" / "near.py"', ""])
def test_a_link_out_of_the_folder_is_refused_where_it_is_needed(tmp_path: Path, line: str) -> None:
    write(tmp_path, {"away/near.py": "SECRET = 1", "job/tests/test_t.py": importing(line)})
    (tmp_path / "job" / "tests" / "near.py").symlink_to(tmp_path / "away" / "near.py")
    (tmp_path / "job" / "tests" / "away").symlink_to(tmp_path / "away")
    value = "tests/test_t.py" if line else "tests"
    with pytest.raises(InvalidInput, match=r"(leads out|symlink)"):
        gather(value, tmp_path / "job")


@pytest.mark.parametrize(
    "line",
    [
        "import json, pytest, _pytest.outcomes, pluggy, pytest_asyncio, solution",
        "from solution.inner import x",
        "try:\n    import numpy\nexcept ImportError:\n    numpy = None",
        "try:\n    import numpy\nexcept Exception:\n    numpy = None",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import numpy",
        'import pytest\nnumpy = pytest.importorskip("numpy")',
        "import pytest\n@pytest.mark.skipif(True, reason='')\ndef test_g():\n    import numpy",
        "from . import near",
    ],
)
def test_imports_that_are_there_or_may_fail_are_taken(tmp_path: Path, line: str) -> None:
    write(tmp_path, {"t.py": importing(line)})
    (check,) = build_checks([{"python": "t.py"}], tmp_path, registry)
    assert check.name == "python:t.py"


@pytest.mark.parametrize(
    ("files", "module", "source"),
    [
        ({"t.py": importing("import numpy as np")}, "numpy", "t.py"),
        ({"t.py": importing("from scipy.stats import norm")}, "scipy", "t.py"),
        ({"t.py": importing("def g():\n    import numpy")}, "numpy", "t.py"),
        ({"t.py": importing("import near"), "near.py": "import yaml"}, "yaml", "near.py"),
        ({"t.py": TEST, "conftest.py": "import hypothesis"}, "hypothesis", "conftest.py"),
        ({"t.py": importing("try:\n    import numpy\nfinally:\n    pass")}, "numpy", "t.py"),
    ],
)
def test_an_import_that_nothing_satisfies_is_refused_at_submit_with_what_to_do(
    tmp_path: Path, files: Mapping[str, str], module: str, source: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        build_checks([{"python": "t.py"}], write(tmp_path, files), registry)
    assert str(refused.value).startswith(f"checks[0].python: '{module}' is not allowed; {source} imports it")
    assert "runtime: NAME" in str(refused.value)
    assert "redraft sandbox add" in str(refused.value)


def test_what_a_named_runtime_has_only_the_sandbox_knows() -> None:
    files = {"t.py": importing("import numpy")}
    check = CheckSpec(name="p", kind="python", value="t.py", files=files, runtime="science")
    PythonValidator().examine(check)
    with pytest.raises(InvalidInput, match="numpy"):
        PythonValidator().examine(dataclasses.replace(check, runtime=""))


def test_a_folder_s_scripts_that_no_test_imports_may_import_anything(tmp_path: Path) -> None:
    write(tmp_path, {"tests/test_a.py": TEST, "tests/make_data.py": "import numpy"})
    (check,) = build_checks([{"python": "tests/"}], tmp_path, registry)
    assert (check.name, check.value) == ("python:tests", ".")


def test_a_path_that_was_typed_may_lie_anywhere(tmp_path: Path) -> None:
    write(tmp_path, {"else/t.py": importing("import near"), "else/near.py": "", "job/p.md": ""})
    for value in ("../else/t.py", str(tmp_path / "else" / "t.py")):
        path, files = gather(Typed(value), tmp_path / "job")
        assert (path, set(files)) == ("t.py", {"t.py", "near.py"})
        with pytest.raises(InvalidInput, match="lie in the job's folder"):
            gather(value, tmp_path / "job")


def test_checks_of_earlier_releases_have_one_test_file() -> None:
    old = CheckSpec(name="python:v.py", kind="python", value="v.py", files={"v.py": TEST})
    assert pythonfiles.files_of_tests(str(old.value), old.files) == ("v.py",)

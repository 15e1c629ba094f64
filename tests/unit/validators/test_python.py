"""What the check `python` accepts at submit."""

from __future__ import annotations

import json

import pytest

from tasks.errors import InvalidInput
from tasks.types import CheckSpec, SandboxResult
from tasks.validators.python import PythonValidator, required_names, solution_names
from tasks.validators.pythonfiles import TEST_BYTES


def test_a_test_file_is_stored_with_its_text(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "visible.py").write_text("def test_a(): pass\n")
    assert PythonValidator().parse("tests/visible.py", tmp_path) == (
        "visible.py",
        {"visible.py": "def test_a(): pass\n"},
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.py", None, "does not"),
        ("folder.py", "folder", "has none"),
        ("latin.py", b"# \xe9\ndef test_a(): pass", "UTF-8"),
        ("broken.py", b"def test_a(:\n", "line 1"),
        ("null.py", b"def test_a(): pass\0", "NUL"),
        ("none.py", b"x = 1\n", "named test"),
        ("big.py", b"#" * TEST_BYTES, "1 MB"),
        ("solution.py", b"def test_a(): pass", "solution.py"),
        ("random.py", b"def test_a(): pass", "module of Python"),
        ("test.txt", b"def test_a(): pass", ".py"),
    ],
)
def test_a_bad_test_file_is_refused_in_one_line(tmp_path, name, content, message):
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput) as refused:
        PythonValidator().parse(name, tmp_path)
    assert refused.value.field == "python"
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [None, 3, "", ["a.py"], {"file": "a.py"}])
def test_a_value_that_is_no_path_is_refused(value, tmp_path):
    with pytest.raises(InvalidInput, match=r"^python: "):
        PythonValidator().parse(value, tmp_path)


def test_an_empty_candidate_fails_without_a_sandbox(heartbeat, no_sandbox):
    check = CheckSpec(name="p", kind="python", value="t.py", files={"t.py": "def test_a(): pass"})
    verdict = PythonValidator().validate("  \n", check, no_sandbox, heartbeat)
    assert not verdict.passed
    assert "no code" in verdict.feedback


def test_only_top_level_tests_that_are_no_fixtures_are_required():
    source = (
        "import pytest\n@pytest.fixture\ndef test_data(): ...\ndef test_a(): ...\n"
        "if 0:\n    def test_b(): ...\nclass TestC:\n    def test_c(self): ...\n"
    )
    assert required_names(source) == ["test_a"]


def test_the_names_that_tests_take_from_the_solution_are_wanted_once_each_in_their_order():
    sources = [
        "from solution import area, Box as B\nfrom other import thing\nimport solution\nimport math\nmath.pi\n",
        "from solution import *\nsolution.perimeter(solution.area(2))\nother.value\nf().attribute\n",
    ]
    assert solution_names(sources) == ["area", "Box", "perimeter"]


def test_a_dry_run_that_could_load_nothing_is_refused_with_the_check_s_value(heartbeat, scripted):
    def collect(job):
        nonce = json.loads(job.stdin)["nonce"]
        unfit = ascii([nonce, "unfit", {"test": "test_a", "fixture": "db"}]).encode()
        return SandboxResult(exit_code=0, stdout="", stderr="", seconds=0.1, report=unfit)

    check = CheckSpec(name="p", kind="python", value="t.py", files={"t.py": "def test_a(db): pass"})
    with pytest.raises(InvalidInput, match="test_a asks for 'db'") as refused:
        PythonValidator().dry_run(check, scripted(collect), heartbeat)
    assert (refused.value.field, refused.value.value) == ("python", "t.py")

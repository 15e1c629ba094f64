"""What a refused check says: its field, the value that was written, and what would do. And each limit, from both
sides."""

from __future__ import annotations

import pytest

from tasks.errors import InvalidInput
from tasks.types import CheckSpec
from tasks.validators.answer import EXPECTED_CHARS, AnswerValidator
from tasks.validators.arguments import ARGUMENT_CHARS, ARGUMENTS
from tasks.validators.command import CommandValidator
from tasks.validators.python import PythonValidator
from tasks.validators.schema import SchemaValidator

ANSWER, COMMAND, PYTHON, SCHEMA = AnswerValidator(), CommandValidator(), PythonValidator(), SchemaValidator()


def refused(attempt, *arguments) -> InvalidInput:
    with pytest.raises(InvalidInput) as refusal:
        attempt(*arguments)
    return refusal.value


@pytest.mark.parametrize(
    ("value", "field", "shown", "allowed"),
    [
        ({"exact": 1, "tolerence": 1}, "answer", {"exact": 1, "tolerence": 1}, "exactly one of exact, regex"),
        ({"number": "some"}, "answer.number", "some", "a number such as"),
        (False, "answer", False, 'a text in quotes, such as "yes"'),
        ({"regex": True}, "answer.regex", True, "a text in quotes"),
        (None, "answer", None, "{exact|regex|math|number"),
        ({"exact": None}, "answer.exact", None, "a text or a number"),
        ("one\ntwo", "answer", "one\ntwo", "one line of at most 1000"),
        ("x" * (EXPECTED_CHARS + 1), "answer", "x" * (EXPECTED_CHARS + 1), "one line of at most 1000"),
        ({"exact": 5, "tolerance": 2}, "answer.tolerance", 2, "only beside number"),
        ({"number": 5, "tolerance": "-0.1"}, "answer.tolerance", "-0.1", "at least 0"),
        ({"number": 5, "tolerance": True}, "answer.tolerance", True, "at least 0"),
        ({"regex": "[a"}, "answer.regex", "[a", "a regular expression ("),
    ],
)
def test_a_refused_answer_names_the_value_and_what_would_do(value, field, shown, allowed):
    error = refused(ANSWER.parse, value, None)
    assert (error.field, error.value) == (field, shown)
    assert allowed in error.allowed


def test_an_expected_answer_may_fill_its_limit_and_a_tolerance_may_be_nothing():
    assert ANSWER.parse("x" * EXPECTED_CHARS, None) == ("x" * EXPECTED_CHARS, {})
    assert ANSWER.parse({"number": 3, "tolerance": 0}, None)[0] == {"number": "3", "tolerance": "0"}


def test_an_expected_expression_is_read_before_it_is_stored():
    assert ANSWER.parse({"math": "x^2 + \\frac{1}{2}"}, None)[0] == {"math": "x^2 + \\frac{1}{2}"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "v.sh").write_text("#!/bin/sh\r\nexit 0\r\n", newline="")
    (tmp_path / "tool").write_bytes(b"\xef\xbb\xbf#!/bin/sh\r\n")
    (tmp_path / "plain.py").write_bytes(b"\xef\xbb\xbfprint()\r\n")
    (tmp_path / "shell.sh").write_bytes(b"exit 0\r\n")
    (tmp_path / "data.bin").write_bytes(b"\xef\xbb\xbfa\r\n\xff")
    (tmp_path / "latin.sh").write_bytes(b"#!/bin/sh\n# \xe9\n")
    (tmp_path / "candidate").write_text("mine\n")
    (tmp_path / "none.py").write_text("x = 1\n")
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "odd.json").write_text('{"type": "nothing"}')
    (tmp_path / "uri.json").write_text('{"$id": "http://[x"}')
    return tmp_path


@pytest.mark.parametrize(
    ("value", "shown", "allowed"),
    [
        ("'open", "'open", "a text that a shell could split ("),
        (["sh", None], ["sh", None], "a list of texts and numbers"),
        ({"run": 1}, {"run": 1}, "a list such as"),
        ([" "], [" "], "a list such as"),
        (["{candidate}", "x"], ["{candidate}", "x"], "a program of yours first"),
        (["sh"] * (ARGUMENTS + 1), ["sh"] * (ARGUMENTS + 1), "at most 50 arguments"),
        (["sh", "y" * (ARGUMENT_CHARS + 1)], ["sh", "y" * (ARGUMENT_CHARS + 1)], "at most 50 arguments"),
        (["cat", "candidate"], ["cat", "candidate"], "files with other names"),
        ("no-such-program x", "no-such-program", "a file beside the job file"),
        (["sh", "../v.sh"], "../v.sh", "files beside the job file or below"),
        (["./latin.sh"], "./latin.sh", "a text in UTF-8"),
    ],
)
def test_a_refused_command_names_the_value_and_what_would_do(folder, value, shown, allowed):
    (folder / "in").mkdir()
    (folder / "in" / "candidate").write_text("")
    (folder / "in" / "latin.sh").write_bytes(b"#!/bin/sh\n# \xe9\n")
    error = refused(COMMAND.parse, value, folder / "in")
    assert (error.field, error.value) == ("command", shown)
    assert error.allowed.startswith(allowed)


def test_a_command_may_fill_its_limits(folder):
    full = ["sh", *["y" * ARGUMENT_CHARS] * (ARGUMENTS - 1)]
    assert COMMAND.parse(full, folder) == (full, {})


def test_scripts_are_stored_as_plain_text_and_data_as_it_is(folder):
    _, files = COMMAND.parse(["sh", "v.sh", "tool", "plain.py", "shell.sh", "data.bin"], folder)
    assert files == {
        "v.sh": "#!/bin/sh\nexit 0\n",
        "tool": "#!/bin/sh\n",
        "plain.py": "print()\n",
        "shell.sh": "exit 0\n",
        "data.bin": b"\xef\xbb\xbfa\r\n\xff",
    }


def test_a_command_without_a_job_file_is_read_from_the_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert COMMAND.parse("./v.sh", None)[0] == ["./v.sh"]


def test_only_the_system_s_own_programs_are_programs(folder, monkeypatch):
    (folder / "verifier").write_text("#!/bin/sh\n")
    (folder / "verifier").chmod(0o755)
    (folder / "elsewhere").mkdir()
    monkeypatch.setenv("PATH", str(folder))
    assert refused(COMMAND.parse, "verifier", folder / "elsewhere").value == "verifier"
    assert COMMAND.parse("cat x", folder / "elsewhere")[0] == ["cat", "x"]


def stored(value, kind="command", **fields):
    return CheckSpec(name="c", kind=kind, value=value, **fields)


@pytest.mark.parametrize("value", [["-c", "sh"], "sh x", None])
def test_a_stored_command_that_names_no_program_is_refused(value):
    error = refused(COMMAND.examine, stored(value))
    assert (error.field, error.value, error.allowed) == ("command", value, "a program first")


@pytest.mark.parametrize("value", [["sh", "-c"], ["s-h"], ["sh"]])
def test_a_stored_command_with_a_program_first_can_run(value):
    assert COMMAND.examine(stored(value)) is None


@pytest.mark.parametrize("value", [None, 7, " ", ["t.py"]])
def test_a_refused_python_check_shows_the_value(tmp_path, value):
    error = refused(PYTHON.parse, value, tmp_path)
    assert (error.field, error.value) == ("python", value)
    assert error.allowed.startswith("the path of a test file or folder")


def test_a_python_check_without_a_test_shows_the_value(folder):
    error = refused(PYTHON.parse, "none.py", folder)
    assert (error.field, error.value) == ("python", "none.py")
    assert error.allowed.startswith("a test file with at least one")


def test_a_folder_of_tests_needs_one_test_in_all_its_files(tmp_path):
    (tmp_path / "test_none.py").write_text("x = 1\n")
    (tmp_path / "test_one.py").write_text("class TestIt:\n    def test_it(self): ...\n")
    assert PYTHON.parse(".", tmp_path)[0] == "."


SUBCLASS = "from solution import Base\nclass Mine(Base): ...\ndef test_a(): ...\n"


def python_check(source, **fields):
    return stored("t.py", kind="python", files={"t.py": source}, **fields)


def test_tests_that_need_the_solution_in_their_process_must_say_so():
    error = refused(PYTHON.examine, python_check(SUBCLASS))
    assert (error.field, error.value) == ("python", "t.py")
    assert "line 2 of t.py derives a class" in error.allowed
    assert PYTHON.examine(python_check(SUBCLASS, isolation="shared")) is None
    assert PYTHON.examine(python_check("def test_a(): ...\n")) is None


def test_an_import_that_nothing_answers_is_refused_and_one_of_a_named_runtime_is_not():
    source = "import astropie\ndef test_a(): ...\n"
    error = refused(PYTHON.examine, python_check(source))
    assert (error.field, error.value) == ("python", "astropie")
    assert error.allowed.startswith("t.py imports it")
    assert "redraft sandbox add" in error.allowed
    assert PYTHON.examine(python_check(source, runtime="space")) is None


@pytest.mark.parametrize("value", [None, 3, "  ", {"type": "object"}])
def test_a_refused_schema_shows_the_value(tmp_path, value):
    error = refused(SCHEMA.parse, value, tmp_path)
    assert (error.field, error.value) == ("schema", value)
    assert error.allowed.startswith("the path of a JSON Schema")


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("bad.json", "valid JSON: "),
        ("odd.json", "a JSON Schema: at $.type"),
        ("uri.json", "a JSON Schema: "),
        ("gone.json", "a file that exists"),
    ],
)
def test_a_refused_schema_names_its_file_and_what_is_wrong(folder, name, allowed):
    error = refused(SCHEMA.parse, name, folder)
    assert (error.field, error.value) == ("schema", name)
    assert error.allowed.startswith(allowed)
    assert "None" not in error.allowed

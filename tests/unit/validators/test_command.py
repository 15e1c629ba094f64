"""What the check `command` accepts at submit, and how it reads what a program did."""

from __future__ import annotations

import pytest

from tasks.errors import InvalidInput
from tasks.types import CheckSpec, FileSet, SandboxResult
from tasks.validators.arguments import CANDIDATE_CHARS
from tasks.validators.command import CommandValidator


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "verify.sh").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "verify.py").write_text("import sys\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "words.txt").write_text("a\n")
    (tmp_path / "candidate").write_text("mine\n")
    (tmp_path / "latin.sh").write_bytes(b"#!/bin/sh\n# \xe9\n")
    (tmp_path / "big.sh").write_text("#" * 1_000_000)
    return tmp_path


@pytest.mark.parametrize(
    ("value", "argv", "files"),
    [
        (["./verify.sh", "{candidate}"], ["./verify.sh", "{candidate}"], ["verify.sh"]),
        ("./verify.sh {candidate}", ["./verify.sh", "{candidate}"], ["verify.sh"]),
        ("verify.sh", ["./verify.sh"], ["verify.sh"]),
        ("./verify.py --limit 3", ["python", "verify.py", "--limit", "3"], ["verify.py"]),
        (["python", "verify.py", 3], ["python", "verify.py", "3"], ["verify.py"]),
        (
            ["sh", "./verify.sh", "data/words.txt"],
            ["sh", "./verify.sh", "data/words.txt"],
            ["verify.sh", "data/words.txt"],
        ),
        ("grep -c 'two words' {candidate}", ["grep", "-c", "two words", "{candidate}"], []),
        (["/bin/sh", "-c", "exit 0"], ["/bin/sh", "-c", "exit 0"], []),
        *(
            ([shell, "-c", script], [shell, "-c", script], files)
            for shell in ("sh", "/bin/sh")
            for script, files in (
                ("cc x.c && ./verify.sh a.out; sort <data/words.txt", ["verify.sh", "data/words.txt"]),
                ("cat candidate ../verify.sh data", []),
                ("echo 'verify.sh", []),
            )
        ),
    ],
)
def test_a_program_and_the_files_it_names_are_stored(folder, value, argv, files):
    stored, kept = CommandValidator().parse(value, folder)
    assert (stored, list(kept)) == (argv, files)
    assert all(kept[name] == (folder / name).read_text() for name in files)


def test_a_script_brings_no_file_that_an_answer_writes(folder):
    script = ["sh", "-ec", "cc data/words.txt && ./verify.sh"]
    _, kept = CommandValidator().parse_beside(script, folder, FileSet(patterns=("data/**",)))
    assert list(kept) == ["verify.sh"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("./gone.sh", "does not"),
        ("gone.py", "does not"),
        ("./data", "does not"),
        ("../verify.sh", "beside the job file"),
        ("no-such-program-anywhere", "a program such as"),
        ("/no/such/program", "a program such as"),
        ("./latin.sh", "UTF-8"),
        ("./big.sh", "1 MB"),
        ("cat candidate", "other names"),
        ("{candidate}", "never run"),
        ("'open", "shell"),
        ("", "a list such as"),
        ([], "a list such as"),
        ([""], "a list such as"),
        (["sh", None], "texts and numbers"),
        (["sh", True], "texts and numbers"),
        ({"run": "sh"}, "a list such as"),
        (["sh"] * 51, "50 arguments"),
        (["sh", "x" * 1001], "1000 characters"),
    ],
)
def test_what_is_no_program_is_refused_in_one_line(folder, value, message):
    with pytest.raises(InvalidInput) as refused:
        CommandValidator().parse(value, folder)
    assert refused.value.field == "command"
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_outside_the_folder_is_refused(folder, tmp_path):
    (folder / "inner").mkdir()
    with pytest.raises(InvalidInput, match="beside the job file"):
        CommandValidator().parse(["sh", "../verify.sh"], folder / "inner")


def check(*argv, **fields):
    return CheckSpec(name="command", kind="command", value=list(argv), **fields)


def result(exit_code=0, stdout="", stderr="", killed=None):
    return SandboxResult(exit_code=exit_code, stdout=stdout, stderr=stderr, seconds=0.5, killed=killed)


def test_the_answer_is_a_file_where_it_is_named_and_the_input_where_it_is_not(heartbeat, scripted):
    sandbox = scripted(lambda job: result())
    spec = check("./v.sh", "--of={candidate}", files={"v.sh": "exit 0"})
    assert CommandValidator().validate("text é", spec, sandbox, heartbeat).passed
    CommandValidator().validate("text", check("./v.sh", files={"v.sh": "exit 0"}), sandbox, heartbeat)
    named, piped = sandbox.jobs
    assert named.argv == ("./v.sh", "--of=candidate")
    assert (named.files, named.stdin) == ({"v.sh": "exit 0", "candidate": "text é".encode()}, b"")
    assert (piped.stdin, piped.files["candidate"]) == (b"text", b"text")


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (result(1, "two lines\nof it"), "two lines\nof it"),
        (result(1, "", "Traceback: bad"), "exit code 1. Traceback: bad"),
        (result(3), "exit code 3."),
        (result(127, "", "prlimit: no such file"), "could not be started: prlimit: no such file"),
        (result(137, "so far", killed="wall"), "more than the 10 s allowed.\nso far"),
        (result(137, killed="memory"), "512 MB of memory"),
        (result(0, killed="output"), "far too much"),
        (result(139), "SIGSEGV"),
        (result(129), "SIGHUP"),
        (result(128, "done"), "done"),
        (result(1, "a\0b\x1b[1m"), "a\ufffdb\ufffd[1m"),
    ],
)
def test_what_a_program_did_becomes_the_verdict(heartbeat, scripted, outcome, message):
    verdict = CommandValidator().validate("x", check("sh"), scripted(lambda job: outcome), heartbeat)
    assert (verdict.passed, verdict.score, verdict.seconds) == (False, 0.0, 0.5)
    assert message in verdict.feedback


def test_feedback_is_clipped(heartbeat, scripted):
    verdict = CommandValidator().validate("x", check("sh"), scripted(lambda job: result(1, "word " * 9_000)), heartbeat)
    assert 1_000 < len(verdict.feedback) <= 1_500


def test_an_exit_code_of_128_is_the_program_s_own(heartbeat, scripted):
    verdict = CommandValidator().validate("x", check("sh"), scripted(lambda job: result(128, "done")), heartbeat)
    assert verdict.feedback == "done"


def test_an_answer_may_fill_its_limit(heartbeat, scripted):
    sandbox = scripted(lambda job: result())
    assert CommandValidator().validate("x" * CANDIDATE_CHARS, check("sh"), sandbox, heartbeat).passed
    over = CommandValidator().validate("x" * (CANDIDATE_CHARS + 1), check("sh"), sandbox, heartbeat)
    assert (over.passed, over.seconds) == (False, 0.0)
    assert len(sandbox.jobs) == 1


def test_what_utf_8_cannot_say_is_replaced(heartbeat, scripted):
    sandbox = scripted(lambda job: result())
    CommandValidator().validate("a\ud800b", check("sh"), sandbox, heartbeat)
    assert sandbox.jobs[0].files["candidate"] == b"a?b"

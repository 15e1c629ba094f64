"""What the check `judge` accepts at submit."""

from __future__ import annotations

import pytest

from tasks.errors import InvalidInput, PluginUnavailable
from tasks.ports import Validator
from tasks.types import CheckSpec
from tasks.validators import registry
from tasks.validators.judge import RUBRIC_CHARS, JudgeCheck


def test_a_rubric_file_is_stored_with_its_text(tmp_path):
    (tmp_path / "my rubric.md").write_text("It is polite.\n")
    assert JudgeCheck().parse("my rubric.md", tmp_path) == ("my rubric.md", {"my rubric.md": "It is polite.\n"})


@pytest.mark.parametrize("sentence", ["It is polite.", "Every claim rests on a source / a number", "Is it v1.2 ready?"])
def test_a_sentence_is_its_own_rubric(tmp_path, sentence):
    assert JudgeCheck().parse(f" {sentence} ", tmp_path) == (sentence, {})


def test_goal_means_the_problem_itself(tmp_path):
    assert JudgeCheck().parse("goal", tmp_path) == ("", {})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gone.md", "does not"),
        ("rubrics/gone", "does not"),
        ("folder.md", "does not"),
        ("latin.md", "UTF-8"),
        ("empty.md", "not empty"),
        ("long.md", f"{RUBRIC_CHARS:,} characters"),
        ("big.md", "under 16 kB"),
        ("null.md", "NUL"),
        ("polite", "goal"),
        ("", "rubric file"),
        (None, "rubric file"),
        (["a b"], "rubric file"),
        ("word " * 1_000, "characters"),
    ],
)
def test_what_is_no_rubric_is_refused_in_one_line(tmp_path, value, message):
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "latin.md").write_bytes(b"\xe9")
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "long.md").write_text("x" * (RUBRIC_CHARS + 1))
    (tmp_path / "big.md").write_text("x" * 10**5)
    (tmp_path / "null.md").write_text("a b\0")
    with pytest.raises(InvalidInput) as refused:
        JudgeCheck().parse(value, tmp_path)
    assert refused.value.field == "judge"
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_it_is_found_like_the_others_and_no_program_decides_it(heartbeat, no_sandbox):
    assert registry.find("judge").kind == "judge"
    assert not isinstance(registry.find("judge"), Validator)
    assert isinstance(registry.find("python"), Validator)
    with pytest.raises(PluginUnavailable, match=r"'judge' .* has no `validate`"):
        registry.validate("x", [CheckSpec(name="j", kind="judge", value="a b")], no_sandbox, heartbeat)

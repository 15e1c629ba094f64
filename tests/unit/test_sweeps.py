"""A sweep multiplies raw jobs by values and seeds, and names each point."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InvalidInput
from tasks.jobfields import check_fields
from tasks.jobfile import RawJob
from tasks.sweeps import FIELDS, MOST_JOBS, Sweep, expand, read_sweep


def job(**fields: Any) -> RawJob:
    return RawJob(where="p.md", folder=Path("here"), fields=fields, problem="What is it?", file="p.md")


def sweep(*axes: str, seeds: int | None = None, raw: tuple[RawJob, ...] = ()) -> Sweep:
    read = read_sweep(axes, seeds, raw)
    assert read is not None
    return read


def test_without_axes_and_seeds_there_is_no_sweep() -> None:
    assert read_sweep([], None) is None


def test_every_combination_of_values_and_seeds_is_one_job() -> None:
    made = sweep("strategy=correct,ladder", "temperature=0.6,0.9", seeds=3)
    jobs = expand([job(seed=5), job()], made)
    found = [(one.fields["strategy"], one.fields["temperature"], one.fields["seed"]) for one in jobs]
    assert len(found) == len(jobs) == 2 * 2 * 3 * 2
    assert set(found) == {
        (strategy, temperature, seed)
        for strategy in ("correct", "ladder")
        for temperature in (0.6, 0.9)
        for seed in (5, 6, 7, 0, 1, 2)
    }


def test_each_job_has_the_tag_of_its_sweep_and_that_of_its_point() -> None:
    made = sweep("strategy=correct,ladder", "temperature=0.60,1")
    jobs = expand([job(tags=["mine"])], made)
    assert [one.fields["tags"] for one in jobs] == [
        ["mine", f"sweep:{made.name}", f"{made.name}/{point}"]
        for point in ("correct/0.6", "correct/1", "ladder/0.6", "ladder/1")
    ]
    for one in jobs:
        check_fields(one.fields)  # the tags are allowed as tags


def test_a_point_whose_values_make_no_tag_has_its_number() -> None:
    made = sweep(f"model={'m' * 60},small")
    assert [point.tag for point in made.points] == [f"{made.name}/1", f"{made.name}/small"]


def test_seeds_alone_are_one_point_without_a_tag_of_its_own() -> None:
    made = sweep(seeds=2)
    jobs = expand([job()], made)
    assert [(one.fields["seed"], one.fields["tags"], one.where) for one in jobs] == [
        (0, [made.tag], "p.md"),
        (1, [made.tag], "p.md"),
    ]


def test_lessons_are_not_shared_unless_the_job_or_the_sweep_says_so() -> None:
    made = sweep("strategy=correct,ladder")
    assert [one.fields["memory"] for one in expand([job(), job(memory=True)], made)] == [False, True, False, True]
    assert [one.fields["memory"] for one in expand([job()], sweep("memory=true,false"))] == [True, False]


def test_a_message_about_a_job_names_its_point_and_its_file_stays() -> None:
    jobs = expand([job()], sweep("strategy=correct", "temperature=0.5,7"))
    assert [(one.where, one.file) for one in jobs] == [
        ("p.md at strategy correct, temperature 0.5", "p.md"),
        ("p.md at strategy correct, temperature 7", "p.md"),
    ]


def test_the_same_keys_give_the_same_jobs_and_without_a_key_each_sweep_is_another() -> None:
    keyed = (job(key="k"),)
    first, again = (sweep("strategy=correct,ladder", seeds=2, raw=keyed) for _ in range(2))
    assert expand(keyed, first) == expand(keyed, again)
    assert [one.fields["key"] for one in expand(keyed, first)] == [
        "k/correct/0",
        "k/correct/1",
        "k/ladder/0",
        "k/ladder/1",
    ]
    assert sweep("strategy=a,b").name != sweep("strategy=a,b").name
    assert re.fullmatch("[a-z2-9]{6}", first.name)


@pytest.mark.parametrize(
    ("axes", "seeds", "said"),
    [
        (["strategy"], None, "--sweep: 'strategy' is not allowed; FIELD=VALUE,VALUE with FIELD among strategy, temp"),
        (["title=a,b"], None, "--sweep: 'title=a,b' is not allowed; FIELD=VALUE,VALUE"),
        (["strategy=a,temperature=0.6"], None, "--sweep: 'strategy=a,temperature=0.6' is not allowed; one field"),
        (["strategy="], None, "values that differ"),
        (["strategy=a,"], None, "values that differ"),
        (["temperature=0.6,0.60"], None, "values that differ"),
        (["lane=gpu", "lane=fast"], None, "--sweep: 'lane=fast' is not allowed; lane is given once"),
        ([], 0, "--seeds: 0 is not allowed; a whole number from 1 to 1,000"),
        ([], 1001, "--seeds: 1001 is not allowed"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(axes: list[str], seeds: int | None, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_sweep(axes, seeds)
    assert said in str(refused.value)


def test_a_sweep_of_more_jobs_than_anybody_means_is_refused() -> None:
    with pytest.raises(InvalidInput, match=f"at most {MOST_JOBS:,} at once"):
        expand([job()] * 11, sweep(seeds=1000))


def test_what_is_swept_are_fields_of_a_job() -> None:
    assert set(FIELDS) <= set(type(check_fields({})).model_fields)

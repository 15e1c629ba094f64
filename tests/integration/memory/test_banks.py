"""One contract for both banks: the twin, and Qdrant's client over the embedded memory's real HTTP."""

from __future__ import annotations

import dataclasses
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tasks.errors import MemoryUnavailable
from tasks.memory.bank import COLLECTION, QdrantBank
from tasks.memory.embedder import Embedder
from tasks.memory.twin import InMemoryBank
from tasks.ports import MemoryBank
from tasks.types import Lesson, LessonKind

pytestmark = pytest.mark.integration
MODEL = Embedder()
START = Callable[[], Any]  # see the fixture `memory_part`
VOWELS = Lesson(
    id=1,
    job=11,
    owner="ada",
    family="python",
    kind=LessonKind.SUCCESS,
    situation="counting vowels in a string",
    advice="lower-case the text first, then count the letters that are in 'aeiou'",
    avoid="comparing with lower-case letters only",
    evidence="job 11",
)
PALINDROME = dataclasses.replace(
    VOWELS,
    id=2,
    situation="checking whether a text reads the same backwards",
    advice="keep letters and digits, lower-case them, then compare with the reverse",
    avoid="comparing the raw text with its spaces",
)
MEAN = dataclasses.replace(
    VOWELS,
    id=3,
    kind=LessonKind.FAILURE,
    situation="the mean of a list that may be empty",
    advice="return zero for the empty list",
    avoid="dividing by the length unchecked, which raises ZeroDivisionError",
)
BOBS = dataclasses.replace(VOWELS, id=4, owner="bob")
ANSWERS = dataclasses.replace(VOWELS, id=5, family="answer")
EVERYTHING = (VOWELS, PALINDROME, MEAN, BOBS, ANSWERS)


@pytest.fixture(params=["twin", "embedded"])
def bank(request: pytest.FixtureRequest) -> Iterator[MemoryBank]:
    if request.param == "twin":
        yield InMemoryBank(MODEL)
        return
    part = request.getfixturevalue("memory_part")()
    bank = QdrantBank(part.url, part.key, MODEL)
    yield bank
    bank.close()


def fill(bank: MemoryBank) -> None:
    for lesson in EVERYTHING:
        bank.upsert(lesson)


def test_the_lesson_that_means_the_same_comes_first_and_comes_whole(bank: MemoryBank) -> None:
    fill(bank)
    found = bank.search("ada", "Write a function that counts how many vowels are in text", family="python", limit=3)
    assert found[0].lesson == VOWELS
    assert found[0].similarity > 0.5 > found[1].similarity
    assert found[0].score > found[1].score


def test_a_word_finds_what_meaning_alone_would_not_put_first(bank: MemoryBank) -> None:
    fill(bank)
    assert bank.search("ada", "ZeroDivisionError", limit=1)[0].lesson == MEAN


def test_only_the_owners_lessons_of_the_family_and_kind_are_found(bank: MemoryBank) -> None:
    fill(bank)
    text = "counting vowels"

    def found(owner: str, **wanted: Any) -> set[int]:
        return {match.lesson.id for match in bank.search(owner, text, limit=10, **wanted)}

    assert found("ada") == {1, 2, 3, 5}
    assert found("ada", family="python") == {1, 2, 3}
    assert found("ada", family="python", kind=LessonKind.FAILURE) == {3}
    assert found("bob") == {4}
    assert found("eve") == set()


def test_no_more_are_returned_than_asked_for(bank: MemoryBank) -> None:
    fill(bank)
    assert len(bank.search("ada", "a text", limit=2)) == 2


def test_of_two_that_fit_alike_the_newer_comes_first(bank: MemoryBank) -> None:
    for number in (7, 9, 8):
        bank.upsert(dataclasses.replace(VOWELS, id=number))
    assert bank.search("ada", "counting vowels", limit=1)[0].lesson.id == 9


def test_adding_a_lesson_twice_is_adding_it_once(bank: MemoryBank) -> None:
    bank.upsert(VOWELS)
    bank.upsert(dataclasses.replace(VOWELS, evidence="job 11, again"))
    assert bank.count() == 1
    assert bank.search("ada", "vowels")[0].lesson.evidence == "job 11, again"


def test_the_nearest_is_an_earlier_lesson_of_the_same_owner_family_and_kind(bank: MemoryBank) -> None:
    fill(bank)
    near = bank.nearest(dataclasses.replace(VOWELS, id=6))
    assert near is not None
    assert near.lesson == VOWELS
    assert near.similarity > 0.99
    assert bank.nearest(VOWELS) is None
    assert bank.nearest(dataclasses.replace(VOWELS, id=6, kind=LessonKind.FAILURE)).lesson == MEAN  # type: ignore[union-attr]
    assert bank.nearest(dataclasses.replace(VOWELS, id=6, owner="eve")) is None


def test_what_is_removed_is_not_found_and_removing_it_again_is_harmless(bank: MemoryBank) -> None:
    fill(bank)
    for _ in range(2):
        bank.remove(1)
    assert bank.count() == 4
    assert 1 not in {match.lesson.id for match in bank.search("ada", "counting vowels", limit=10)}


def test_one_owners_lessons_are_cleared_or_everybodys(bank: MemoryBank) -> None:
    fill(bank)
    bank.clear("ada")
    assert bank.count() == 1
    bank.clear()
    assert bank.count() == 0
    assert bank.search("bob", "vowels") == ()


def test_a_text_without_a_word_finds_by_meaning_alone(bank: MemoryBank) -> None:
    fill(bank)
    assert len(bank.search("ada", "…", limit=2)) == 2


def test_the_memory_keeps_its_lessons_though_it_is_killed(memory_part: START) -> None:
    before = memory_part()
    bank = QdrantBank(before.url, before.key, MODEL)
    fill(bank)
    before.process.kill()
    with pytest.raises(MemoryUnavailable):
        bank.count()
    bank.close()
    before.process.wait()
    after = memory_part()
    again = QdrantBank(after.url, after.key, MODEL)
    assert again.count() == len(EVERYTHING)
    assert again.search("ada", "counting vowels", family="python", limit=1)[0].lesson == VOWELS
    again.close()


def test_data_that_cannot_be_read_are_moved_aside(memory_part: START, tmp_path: Any) -> None:
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "meta.json").write_text("{ no json")
    part = memory_part()
    bank = QdrantBank(part.url, part.key, MODEL)
    bank.upsert(VOWELS)
    assert bank.count() == 1
    bank.close()
    assert [path.name.split("-")[0] for path in tmp_path.glob("memory.*")] == ["memory.unreadable"]


def test_without_the_key_nothing_is_told(memory_part: START) -> None:
    part = memory_part()
    bank = QdrantBank(part.url, "another", MODEL)
    with pytest.raises(MemoryUnavailable, match="401"):
        bank.count()
    bank.close()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(part.url, timeout=5)


def test_what_the_embedded_memory_does_not_serve_is_refused_by_name(memory_part: START) -> None:
    part = memory_part()

    def ask(method: str, path: str, body: bytes = b"{}") -> tuple[int, Any]:
        headers = {"api-key": part.key}
        request = urllib.request.Request(part.url + path, data=body, method=method, headers=headers)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=5)
        return refused.value.code, json.loads(refused.value.read())["status"]["error"]

    status, why = ask("POST", f"/collections/{COLLECTION}/snapshots")
    assert (status, "not served" in why) == (404, True)
    assert ask("POST", f"/collections/{COLLECTION}/points/count")[0] == 404
    bank = QdrantBank(part.url, part.key, MODEL)
    bank.upsert(VOWELS)
    bank.close()
    assert ask("POST", f"/collections/{COLLECTION}/points/query", b'{"limit": "many"}')[0] == 400


def test_a_memory_that_is_away_is_a_fault_of_its_own_kind() -> None:
    bank = QdrantBank("http://127.0.0.1:9", "", MODEL)
    with pytest.raises(MemoryUnavailable, match="refused"):
        bank.search("ada", "vowels")
    bank.close()

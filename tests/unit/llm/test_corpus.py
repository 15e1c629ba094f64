"""The guard on a bounded part of the corpus, and what the corpus says of itself. `make bench-guard` takes all of it."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from tasks.llm.cycles import COPIES, COVERED_CHARS
from tasks.llm.guard import STEP_CHARS, Guard, scan
from tests.corpus import collected, loops, loose_loops, machine, made
from tests.corpus.label import Label, label
from tests.corpus.samples import REPORT, TUNE, Sample

# Forms in which a copy is never quite the last one: what is missed is among these.
INEXACT = set(loose_loops.FORMS) | {
    "counting_blocks",
    "counting_inline",
    "drifting",
    "growing",
    "noisy",
    "numbered",
    "shuffled",
    "swapped_name",
}
# Wordless copies must be many.
EXACT = set(loops.FORMS) - INEXACT - {"zeros"}


@pytest.fixture(scope="module")
def looping() -> list[Sample]:
    return list(loops.degenerate(10 * len(loops.FORMS), seed=1))


def test_no_generated_ordinary_text_is_called_a_loop() -> None:
    alarms = [(s.name, scan(s.text)) for s in made.ordinary(8 * len(made.MAKERS), seed=1)]
    assert [(name, hit) for name, hit in alarms if hit is not None] == []


def test_texts_of_this_machine_are_hardly_ever_called_loops() -> None:
    texts = list(machine.ordinary(150, seed=1))
    assert len(texts) == 150
    # Some files hold three equal paragraphs. At one alarm in a thousand, three in 150 come on one machine in 2,000.
    assert sum(scan(s.text) is not None for s in texts) <= 2


def test_every_exact_loop_is_found_and_nearly_every_other(looping: list[Sample]) -> None:
    missed = [s.name for s in looping if scan(s.text) is None]
    assert {name.split("/")[0] for name in missed} <= INEXACT
    assert len(missed) <= 0.02 * len(looping)


def test_an_exact_loop_is_found_with_its_third_copy(looping: list[Sample]) -> None:
    exact = [s for s in looping if s.kind in EXACT]
    assert {s.kind for s in exact} == EXACT
    for s in exact:
        assert s.onset is not None
        assert s.period is not None
        guard, read = Guard(), 0
        while guard.hit is None:
            guard.feed(s.text[read : read + STEP_CHARS])
            read += STEP_CHARS
        assert read - s.onset <= max(COPIES * s.period, COVERED_CHARS) + 2 * STEP_CHARS, s.name
        assert guard.hit.at_char <= s.onset + s.period, s.name


def test_one_seed_is_one_corpus_and_a_text_never_changes_its_half() -> None:
    first, again = list(made.ordinary(100)), list(made.ordinary(200))
    assert first == again[:100]
    assert {s.half for s in first} == {TUNE, REPORT}
    assert list(machine.ordinary(20)) == list(machine.ordinary(20))
    assert len({s.name for s in itertools.chain(again, loops.degenerate(100))}) == 300


@pytest.mark.parametrize("kind", sorted(EXACT))
def test_the_offline_label_calls_exact_loops_loops(looping: list[Sample], kind: str) -> None:
    early = [(s.name, s.text[:5_000], s.onset) for s in looping if s.kind == kind and (s.onset or 0) < 2_000]
    assert early
    for name, text, onset in early[:3]:
        found, stretch = label(text, cut_off=True)
        assert found is Label.LOOP, name
        assert stretch is not None
        assert abs(stretch.onset - (onset or 0)) < 0.15 * len(text), name
        assert label(text, cut_off=False) == (Label.PASSING, None)


PROSE = made.MAKERS["plain"](random.Random(1))
LOOP = "The reader should follow the method. " * 30


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PROSE, Label.ORDINARY),
        ("", Label.ORDINARY),
        (PROSE + LOOP, Label.LOOP),
        (PROSE + LOOP.replace("method", "maze", 7), Label.LOOP),
        (LOOP + PROSE, Label.PASSING),
        (PROSE + "1. " * 300, Label.LOOP),
        (PROSE + "".join(f"{n}. The reader should follow the method.\n" for n in range(30)), Label.COUNTING),
        (PROSE + "".join(f"Packet {n}: 1000000000000 | {n}. " for n in range(100, 130)), Label.COUNTING),
        (PROSE + "So it goes on and on for ever. " * 4, Label.UNCLEAR),
    ],
)
def test_the_offline_label_tells_a_loop_from_counting_a_refrain_and_prose(text: str, expected: Label) -> None:
    assert label(text, cut_off=True)[0] is expected


def test_sentences_in_ever_another_order_are_a_loop_without_a_period() -> None:
    rng = random.Random(3)
    sentences = [f"The {noun} in the {place} is what the reader of the {noun} wants to see from the {place} today. "
                 for noun, place in itertools.product(("lamp", "boat"), ("yard", "town"))]  # fmt: skip
    text = PROSE[:1_000] + "".join(rng.choice(sentences) for _ in range(60))
    found, stretch = label(text, cut_off=True)
    assert found is Label.LOOP
    assert stretch is not None
    assert abs(stretch.onset - 1_000) < 200


def test_collected_texts_come_back_with_their_labels(tmp_path: Path) -> None:
    row = {"model": "lab/tiny", "kind": "prose", "prompt": "p", "system": None, "temperature": 0.8, "seed": 3}
    row["finish_reason"] = "length"
    path = tmp_path / "tune" / "tiny.jsonl.gz"
    texts = ("So it goes on. " * 90, "An end.")
    collected.write(path, [collected.labelled({**row, "text": text}) for text in texts])
    found = list(collected.collected(tmp_path))
    assert [kind for kind, _ in found] == [Label.LOOP, Label.ORDINARY]
    assert (found[0][1].onset, found[0][1].period, found[0][1].kind) == (0, 15, "tiny at 0.8")
    assert [sample.half for _, sample in found] == ["tune", "tune"]  # the folder's
    assert found[1][1].onset is None
    before = path.read_bytes()
    collected.write(path, collected.read(path))
    assert path.read_bytes() == before


def test_the_labels_that_are_kept_are_those_of_the_definition() -> None:
    rows = [row for path in sorted(collected.FOLDER.glob("*/*.jsonl.gz")) for row in collected.read(path)[::15]]
    assert len(rows) > 40
    assert [collected.labelled(row) for row in rows] == rows

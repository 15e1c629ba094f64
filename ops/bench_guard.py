"""`make bench-guard`: how well the guard finds loops, how seldom it is wrong, how late and at what cost. Prints tables.

Thresholds were tuned on one half of the corpus (`--half tune`); what is printed comes from the other. Ordinary texts
are read from this machine and generated, so the figures of two machines differ a little. Loops are generated, and real
(`ops/corpus.py`). A token counts as four characters. With `--endpoint` it measures what the guard saves there instead.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from figures import share_interval as interval
from savings import savings

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.cycles import COPIES, COVERED_CHARS
from tasks.llm.guard import STEP_CHARS, Guard
from tasks.llm.scripted import ScriptedModel
from tasks.retries import Attempt, RetryLadder
from tasks.sampling import Sampling
from tasks.types import CallKey, ChatRequest, GuardHit, Operator, Prompt
from tests.corpus import loops, machine, made, words
from tests.corpus.collected import collected
from tests.corpus.label import Label
from tests.corpus.samples import REPORT, TUNE, Sample

MACHINE_TEXTS, MADE_TEXTS, MADE_LOOPS = 8_000, 4_200, 2_100
TOKEN_CHARS = 4
CPU_TOKENS = (1_000, 4_000, 16_000, 64_000)
TOKENS_PER_SECOND = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the guard made of one text: its hit, and after how many characters; the processor's seconds."""

    sample: Sample
    hit: GuardHit | None
    read: int
    seconds: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=(TUNE, REPORT), default=REPORT)
    parser.add_argument("--part", type=int, default=1, help="use one text in so many, for a quick look")
    parser.add_argument(
        "--endpoint", help="the base URL of an engine, ending in /v1: measures only what is saved there"
    )
    parser.add_argument("--model", default="", help="the name under which the endpoint serves it")
    parser.add_argument("--prompts", type=int, default=32, help="how many prompts are asked there, off and on")
    parser.add_argument("--max-tokens", type=int, default=2_048, help="where the endpoint cuts an answer off")
    given = parser.parse_args(arguments)
    if given.endpoint:
        print(table(*savings(given.endpoint, given.model, given.prompts, given.max_tokens)))
        return

    def of_half(samples: Iterable[Sample], count: int) -> list[Seen]:
        return [look(sample) for sample in itertools.islice(samples, count // given.part) if sample.half == given.half]

    real: dict[Label, list[Seen]] = {label: [] for label in Label}
    for label, sample in collected():
        if sample.half == given.half:
            real[label].append(look(sample))
    looping = of_half(loops.degenerate(MADE_LOOPS), MADE_LOOPS)
    ordinary = {
        "of this machine": of_half(machine.ordinary(MACHINE_TEXTS), MACHINE_TEXTS),
        "generated": of_half(made.ordinary(MADE_TEXTS), MADE_TEXTS),
        "by models": real[Label.ORDINARY],
    }
    print(f"half: {given.half}\n")
    print(recall("real loops", real[Label.LOOP]))
    print(recall("real, but for their numbers", real[Label.COUNTING]))
    print(recall("generated loops", looping))
    print(false_alarms(ordinary))
    print(alarms_by_kind(list(itertools.chain(*ordinary.values()))))
    print(lost(list(itertools.chain(*ordinary.values()))))
    print(saved({"real loops": real[Label.LOOP], "generated loops": looping}))
    print(cut_short(real))
    print(delays("real loops", real[Label.LOOP]))
    print(delays("generated loops", looping))
    print(dearest(list(itertools.chain(*ordinary.values(), looping))))
    print(cost())


def look(sample: Sample) -> Seen:
    """Feeds the text token by token until the guard hits or the text is over."""
    guard, read, text = Guard(), 0, sample.text
    begun = time.process_time()
    while read < len(text) and guard.feed(text[read : read + TOKEN_CHARS]) is None:
        read += TOKEN_CHARS
    guard.finish()
    return Seen(sample=sample, hit=guard.hit, read=min(len(text), read), seconds=time.process_time() - begun)


def recall(title: str, seen: Sequence[Seen]) -> str:
    """How many loops were found, form by form."""
    rows = []
    for kind, of_kind in _by_kind(seen):
        rows.append(_share(kind, [one for one in of_kind if one.hit], of_kind))
    rows.append(_share("all", [one for one in seen if one.hit], seen))
    return table((title, "found", "of", "share", "95 % interval"), rows) if seen else f"{title}: none collected yet\n"


def false_alarms(ordinary: dict[str, list[Seen]]) -> str:
    """How many ordinary texts were called loops, and every one of them by name."""
    everything = list(itertools.chain(*ordinary.values()))
    rows = [_share(source, [one for one in seen if one.hit], seen) for source, seen in ordinary.items() if seen]
    rows.append(_share("all", [one for one in everything if one.hit], everything))
    named = "".join(
        f"  {one.hit.kind} in {one.sample.kind} {one.sample.name} at {one.hit.at_char}: {one.hit.copies} copies of "
        f"{one.sample.text[one.hit.at_char :][: min(60, one.hit.period_chars)]!r}\n"
        for one in everything
        if one.hit
    )
    return table(("ordinary texts", "alarms", "of", "rate", "95 % interval"), rows) + named


def alarms_by_kind(seen: Sequence[Seen]) -> str:
    """The same by kind of text, the kinds with an alarm only."""
    rows = []
    for kind, of_kind in _by_kind(seen):
        alarms = [one for one in of_kind if one.hit]
        if alarms:
            rows.append(_share(kind, alarms, of_kind))
    return table(("kinds with an alarm", "alarms", "of", "rate", "95 % interval"), rows)


def lost(seen: Sequence[Seen]) -> str:
    """How many ordinary texts the whole ladder of retries loses, where the model writes the same after another opening
    under each seed: that is, right answers that never get to the checks."""
    cut = [one for one in seen if one.hit]
    gone = [one for one in cut if not _gets_through(one.sample)]
    rows = [_share("lost", gone, seen)]
    named = "".join(f"  {one.sample.kind} {one.sample.name}\n" for one in gone)
    return table(("right answers", "lost", "of", "share", "95 % interval"), rows) + named


def _gets_through(sample: Sample) -> bool:
    rng = random.Random(sample.name)

    def answer(request: ChatRequest) -> str:
        return words.prose(rng, rng.choice((20, 150, 300))) + "\n\n" + sample.text

    key = CallKey(iteration=1, operator=Operator.DRAFT, slot=0, attempt=1)
    ladder = RetryLadder(key=key, seed=1, draw=1, sampling=Sampling(answer_tokens=8_192))
    attempt: Attempt | None = ladder.first()
    model, completion = ScriptedModel(answer), None
    while attempt is not None:
        completion = model.complete(ladder.request(attempt, Prompt(system="", prefix="")), SilentHeartbeat())
        attempt = ladder.after(attempt, completion)
    return completion is not None and completion.guard is None


def saved(looping: dict[str, Sequence[Seen]]) -> str:
    """Which share of a loop's characters, from its first copy on, is never written; a loop that is missed saves none.
    The mean over loops, and over all their tokens."""
    rows = []
    for source, seen in looping.items():
        spans = [(len(one.sample.text) - (one.sample.onset or 0), len(one.sample.text) - one.read) for one in seen]
        whole = [(loop, min(loop, spared)) for loop, spared in spans if loop > 0]
        if whole:
            mean = statistics.fmean(spared / loop for loop, spared in whole)
            total = sum(spared for _, spared in whole) / sum(loop for loop, _ in whole)
            rows.append((source, str(len(whole)), f"{mean:.3f}", f"{total:.3f}"))
    return table(("saved of a loop", "n", "mean", "of all tokens"), rows)


def cut_short(real: dict[Label, list[Seen]]) -> str:
    """What a hit spares in the collected answers, whose end is otherwise the model's own or the limit of tokens. A text
    that repeats itself `passing` goes on by itself, and is cut nevertheless where it is a loop by the guard's rule."""
    rows = []
    for label, seen in real.items():
        off, on = sum(len(one.sample.text) for one in seen), sum(one.read for one in seen)
        cut = sum(one.hit is not None for one in seen)
        rows.append(
            (
                label,
                str(len(seen)),
                str(cut),
                *(f"{n // TOKEN_CHARS:,}" for n in (off, on)),
                f"{1 - on / max(1, off):.0%}",
            )
        )
    return table(("real answers", "n", "cut", "tokens off", "tokens on", "saved"), rows)


def delays(title: str, seen: Sequence[Seen]) -> str:
    """From the first copy to the hit, where it did not hit an earlier passing loop. `beyond` is what the hit came later
    than the guard's own rule for exact copies: three of them, and 48 tokens; `in three` is the part that kept it, give
    or take two looks; `cut` is how far from the first copy the text is cut back."""
    rows = []
    for kind, of_kind in [*_by_kind(seen), ("all", seen)]:
        found = [one for one in of_kind if one.hit and one.sample.period and one.read > (one.sample.onset or 0)]
        if found:
            late = [one.read - (one.sample.onset or 0) for one in found]
            copies = [chars / (one.sample.period or 1) for one, chars in zip(found, late, strict=True)]
            rule = [max(COPIES * (one.sample.period or 1), COVERED_CHARS) for one in found]
            beyond = [(chars - least) / TOKEN_CHARS for chars, least in zip(late, rule, strict=True)]
            cut = [one.hit.at_char - (one.sample.onset or 0) for one in found if one.hit]
            tokens = [chars / TOKEN_CHARS for chars in late]
            kept = sum(TOKEN_CHARS * tokens <= 2 * STEP_CHARS for tokens in beyond) / len(found)
            rows.append((kind, str(len(found)), f"{kept:.2f}", *map(_quantiles, (copies, tokens, beyond, cut))))
    heads = (f"{title}, median / 95 %", "n", "in three", "copies", "tokens", "tokens beyond", "cut, characters")
    return table(heads, rows) if rows else ""


def dearest(seen: Sequence[Seen]) -> str:
    """The kinds of text that cost most, in processor time."""
    rows = []
    for kind, of_kind in _by_kind(seen):
        tokens = sum(one.read for one in of_kind) / TOKEN_CHARS
        rows.append((sum(one.seconds for one in of_kind) / max(1, tokens) * 1e6, kind, str(len(of_kind))))
    rows.sort(reverse=True)
    shown = [(kind, count, f"{ms:.2f}", f"{ms * TOKENS_PER_SECOND / 1e6:.3%}") for ms, kind, count in rows[:6]]
    return table(("dearest kinds", "n", "ms per 1,000 tokens", f"CPU at {TOKENS_PER_SECOND:,} tokens/s"), shown)


def cost() -> str:
    """Processor time by length: ordinary prose and a program, which are never hit."""
    rows = []
    for tokens in CPU_TOKENS:
        chars = tokens * TOKEN_CHARS
        rng = random.Random(tokens)
        for kind, text in (
            ("prose", words.prose(rng, chars)[:chars]),
            ("code", _programs(rng, chars)),
        ):
            seen = look(Sample(name=kind, kind=kind, text=text))
            assert seen.hit is None, seen.hit
            ms = seen.seconds / tokens * 1e6
            rows.append((kind, f"{tokens:,}", f"{ms:.2f}", f"{ms * TOKENS_PER_SECOND / 1e6:.3%}"))
    return table(("CPU", "tokens", "ms per 1,000 tokens", f"CPU at {TOKENS_PER_SECOND:,} tokens/s"), rows)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of plain text."""
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(width) if not at else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (heads, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _by_kind(seen: Sequence[Seen]) -> Iterator[tuple[str, list[Seen]]]:
    ordered = sorted(seen, key=lambda one: one.sample.kind)
    for kind, group in itertools.groupby(ordered, key=lambda one: one.sample.kind):
        yield kind, list(group)


def _share(name: str, some: Sequence[Seen], of: Sequence[Seen]) -> tuple[str, ...]:
    low, high = interval(len(some), len(of))
    rate = f"{len(some) / len(of):.4f}" if of else "-"
    return name, str(len(some)), str(len(of)), rate, f"{low:.4f}-{high:.4f}"


def _quantiles(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.0f} / {ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]:.0f}"


def _programs(rng: random.Random, chars: int) -> str:
    text = ""
    while len(text) < chars:
        text += made.MAKERS["code"](rng) + "\n\n"
    return text[:chars]


if __name__ == "__main__":
    main()

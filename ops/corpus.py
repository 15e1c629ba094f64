"""Collects what a model writes when nobody stops it, for the guard's corpus: loops, and ordinary answers beside them.

    python ops/corpus.py --endpoint http://127.0.0.1:8000/v1 --model NAME --loops 300

Every prompt is asked four times: at temperature 0 and 0.8, each with and without a system prompt, and with no guard of
ours nor the engine's. All answers count and none is chosen by hand; they are labelled (`tests/corpus/label.py`), and of
the ordinary ones only `--ordinary` are kept. What is there is saved every 40 answers and on Ctrl-C, and a further run
goes on from it. A prompt that the other half of the corpus has is passed over: `--half report` with a new `--seed`
makes figures that no threshold has seen.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from tests.corpus import words
from tests.corpus.collected import FOLDER, labelled, read, write
from tests.corpus.label import Label
from tests.corpus.samples import REPORT, TUNE, seeded

TEMPERATURES = (0.0, 0.8)
SYSTEMS = (None, "You are a careful assistant. Answer in full and explain every step.")
SAVED_EVERY = 40
ANSWER_SECONDS = 900.0

# By what is asked for. The words are drawn anew for each prompt.
PROMPTS: tuple[tuple[str, str], ...] = (
    ("prose", "Explain in detail why {a} {n} {v} {m}."),
    ("story", "Write a long story about {name} and a {adj} {n}."),
    ("code", "Write a Python function that {v} a list of {n}s, with tests for every case."),
    ("list", "List everything that one should know about a {n}."),
    ("maths", "Prove that there are infinitely many {adj} {n}s."),
    ("maths", "Think step by step: {name} has {x} {n}s and gives {y} of them to {other}. How many are left, and why?"),
    ("prose", "Describe the difference between a {n} and a {m}."),
    ("poem", "Write a poem about a {adj} {n} in which every stanza ends alike."),
    ("table", "Make a table of {x} kinds of {n} with their uses."),
    ("json", "Write a JSON document that describes a {n}, its {m} and all of their parts."),
    ("prose", "Explain to {name} how one {v} a {n}, then check your explanation and correct it."),
    ("maths", "Solve x^2 - {x}x + {y} = 0 and check each step twice."),
    ("list", "Write the rules of a game that is played with a {n} and {x} {m}s."),
    ("prose", "Summarise the history of the {n} in {x} sentences."),
    ("list", "Give {x} reasons for and {x} reasons against a {adj} {n}."),
    ("dialogue", "Write a dialogue in which {name} and {other} argue about a {n}."),
    ("sql", "Write a SQL schema for a shop that sells {n}s and {m}s."),
    ("maths", "Which numbers below {x} are divisible by {y}? Explain."),
    ("shell", "Write a shell script that {v} every {n} in a folder."),
    ("translation", "Translate into French and back again: the {adj} {n} {v} the {m}."),
    ("prose", "Continue: The {n} {v} the {m}. The {m} {v} the {n}."),
    ("code", "Write unit tests for a class {n} that {v} a {m}."),
    ("letter", "Write a letter from {name} to {other} about the {adj} {n} near the {m}."),
    ("prose", "What would happen if every {n} were {adj}? Consider each consequence in turn."),
    ("log", "Write the log file of a server that {v} {n}s, one line a second, with {x} lines."),
    ("numbers", "Write the multiples of {y} up to {x}0, one on each line, and say of each whether it is odd."),
    ("table", "Compare a {n}, a {m} and a {adj} {n} in a Markdown table with at least {y} rows."),
    ("json", "Give me {x} example records of {n}s as a JSON array with the keys id, name, {m} and price."),
    ("code", "Write a C program that keeps {x} {n}s in a linked list and prints them."),
    ("html", "Write the HTML page of a shop for {n}s, with a form and a table of prices."),
    ("review", "List every error in this text: The {n} {v} the {m}, becaus it are {adj} and {adj}."),
    ("code", "Write a Python class for a {n} with {y} methods, each with a docstring."),
)


def main(arguments: list[str] | None = None) -> None:
    """Asks until there are enough loops, or no more requests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True, help="the base URL of an OpenAI-compatible server, ending in /v1")
    parser.add_argument("--model", required=True, help="the name under which the endpoint serves it")
    parser.add_argument("--loops", type=int, default=300, help="stop at so many loops")
    parser.add_argument("--ordinary", type=int, default=400, help="keep at most so many answers that are no loop")
    parser.add_argument("--requests", type=int, default=4_000, help="stop after so many requests in any case")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long in any case")
    parser.add_argument("--max-tokens", type=int, default=1_200, help="where an answer is cut off")
    parser.add_argument("--parallel", type=int, default=16, help="requests in flight")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--half", choices=(TUNE, REPORT), default=REPORT)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the halves are (default: beside the tests)")
    given = parser.parse_args(arguments)
    name = re.sub(r"[^a-z0-9.]+", "-", given.model.rsplit("/", 1)[-1].lower())
    answers = Answers(given.folder / given.half / f"{name}.jsonl.gz", given.loops, given.ordinary)
    others = {
        row["prompt"]
        for path in given.folder.glob("*/*.jsonl.gz")
        for row in read(path)
        if path.parent.name != given.half
    }
    answers.run(Asker(given, others), given.requests, given.parallel, given.minutes)


class Asker:
    """Sends one request: the whole answer, streamed by nobody and guarded by nobody."""

    def __init__(self, given: argparse.Namespace, others: Collection[str]) -> None:
        self.model, self.seed, self._others = given.model, given.seed, others
        self._url, self._tokens = given.endpoint.rstrip("/") + "/chat/completions", given.max_tokens
        self._key = os.environ.get("REDRAFT_ENDPOINT_KEY", "none")

    def plan(self) -> Iterator[dict[str, Any]]:
        """The requests, without end, always in the same order for one seed; none with a prompt of the other half."""
        for number in itertools.count():
            kind, prompt = prompt_for(self.seed, number)
            if prompt in self._others:
                continue
            for temperature, system in itertools.product(TEMPERATURES, SYSTEMS):
                seed = seeded(self.seed, f"{number}:{temperature}:{system is None}") >> 33
                yield {
                    "model": self.model,
                    "kind": kind,
                    "prompt": prompt,
                    "system": system,
                    "temperature": temperature,
                    "seed": seed,
                    "max_tokens": self._tokens,
                }

    def ask(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """The row of one answer. Raises `OSError` where the endpoint does not answer."""
        system = [{"role": "system", "content": wanted["system"]}] if wanted["system"] else []
        body = {
            "model": wanted["model"],
            "messages": [*system, {"role": "user", "content": wanted["prompt"]}],
            "temperature": wanted["temperature"],
            "seed": wanted["seed"],
            "max_tokens": wanted["max_tokens"],
        }
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            choice = json.load(response)["choices"][0]
        return {**wanted, "finish_reason": choice["finish_reason"], "text": choice["message"]["content"] or ""}


class Answers:
    """The rows of one file, with their labels."""

    def __init__(self, path: Path, loops: int, ordinary: int) -> None:
        self._path, self._loops, self._ordinary = path, loops, ordinary
        self.rows = list(map(labelled, read(path))) if path.exists() else []
        self.counts = dict.fromkeys(Label, 0)
        for row in self.rows:
            self.counts[row["label"]] += 1

    def run(self, asker: Asker, requests: int, parallel: int, minutes: float) -> None:
        """Keeps `parallel` requests in flight; what was asked before is not asked again."""
        known = {_identity(row) for row in self.rows}
        planned = (wanted for wanted in itertools.islice(asker.plan(), requests) if _identity(wanted) not in known)
        pool = ThreadPoolExecutor(max_workers=parallel)
        flying = {pool.submit(asker.ask, wanted) for wanted in itertools.islice(planned, parallel)}
        answers, until = 0, time.monotonic() + 60 * minutes
        try:
            while flying:
                done, flying = wait(flying, return_when=FIRST_COMPLETED)
                for answered in done:
                    self._take(answered.result())
                    answers += 1
                    if answers % SAVED_EVERY == 0:
                        self._save()
                    if self.counts[Label.LOOP] < self._loops and time.monotonic() < until:
                        flying |= {pool.submit(asker.ask, wanted) for wanted in itertools.islice(planned, 1)}
        except OSError as error:
            sys.exit(f"the endpoint does not answer: {error}")
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._save()
        if self.counts[Label.LOOP] < self._loops:
            sys.exit(f"only {self.counts[Label.LOOP]} loops; raise --requests, --minutes or --max-tokens")

    def _save(self) -> None:
        write(self._path, sorted(self.rows, key=_order))
        said = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        print(f"{self._path.name}: {said}", file=sys.stderr, flush=True)

    def _take(self, row: dict[str, Any]) -> None:
        row = labelled(row)
        kind = row["label"]
        if kind is Label.ORDINARY and self.counts[kind] >= self._ordinary:
            return
        self.counts[kind] += 1
        self.rows.append(row)


def prompt_for(seed: int, number: int) -> tuple[str, str]:
    """What is asked for, and the words that ask for it."""
    rng = random.Random(seeded(seed, f"prompt {number}"))
    name, other = rng.sample(words.NAMES, 2)
    noun, second = rng.sample(words.NOUNS, 2)
    kind, asked = PROMPTS[number % len(PROMPTS)]
    return kind, asked.format(
        a=rng.choice(("a", "every", "no")),
        n=noun,
        m=second,
        v=rng.choice(words.VERBS),
        adj=rng.choice(words.ADJECTIVES),
        name=name,
        other=other,
        x=rng.randint(5, 40),
        y=rng.randint(2, 9),
    )


def _order(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[key]) for key in ("kind", "prompt", "system", "temperature", "seed"))


def _identity(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["model"], row["prompt"], row["system"], row["temperature"], row["seed"]


if __name__ == "__main__":
    main()

"""Collects what a model writes when nobody stops it, for the guard's corpus: loops, and ordinary answers beside them.

    python ops/corpus.py --endpoint http://127.0.0.1:8000/v1 --model NAME --loops 300

Every prompt is asked with and without a system prompt at each temperature, and with no guard of ours nor the engine's.
With `--ignore-end` an answer goes on to the limit of tokens, where most models repeat themselves; with `--long` the
prompts ask for what is long and regular. All answers count and none is chosen by hand; they are labelled
(`tests/corpus/label.py`), and of the ordinary ones only `--ordinary` are kept. What is there is saved every half a
minute and on Ctrl-C, and a further run goes on from it. A prompt that the other half of the corpus has is passed over:
`--half report` with a new `--seed` makes figures that no threshold has seen.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from tests.corpus.collected import FOLDER, labelled, read, write
from tests.corpus.label import Label
from tests.corpus.prompts import LONG, PROMPTS, prompt_for
from tests.corpus.samples import REPORT, TUNE, seeded

TEMPERATURES = (0.0, 0.8)
SYSTEMS = (None, "You are a careful assistant. Answer in full and explain every step.")
SAVED_SECONDS = 30.0
ANSWER_SECONDS = 900.0


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
    parser.add_argument(
        "--temperature", type=float, action="append", help="ask at this temperature; may be repeated (default: 0, 0.8)"
    )
    parser.add_argument("--ignore-end", action="store_true", help="let no answer end by itself (vLLM and llama.cpp)")
    parser.add_argument("--long", action="store_true", help="ask for long lists, proofs, tables and steps")
    kinds = sorted({kind for kind, _ in (*PROMPTS, *LONG)})
    parser.add_argument("--kind", action="append", choices=kinds, help="ask only for this; may be repeated")
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
        self._temperatures, self._ignores_end = given.temperature or TEMPERATURES, given.ignore_end
        prompts = LONG if given.long else PROMPTS
        self._prompts = [(kind, asked) for kind, asked in prompts if kind in (given.kind or [kind])]
        if not self._prompts:
            sys.exit(
                f"--kind: no prompt asks for {' or '.join(given.kind)} {'with' if given.long else 'without'} --long"
            )
        self._url, self._tokens = given.endpoint.rstrip("/") + "/chat/completions", given.max_tokens
        self._key = os.environ.get("REDRAFT_ENDPOINT_KEY", "none")

    def plan(self) -> Iterator[dict[str, Any]]:
        """The requests, without end, always in the same order for one seed; none with a prompt of the other half."""
        for number in itertools.count():
            kind, prompt = prompt_for(self.seed, number, self._prompts)
            if prompt in self._others:
                continue
            for temperature, system in itertools.product(self._temperatures, SYSTEMS):
                seed = seeded(self.seed, f"{number}:{temperature}:{system is None}") >> 33
                yield {
                    "model": self.model,
                    "kind": kind,
                    "prompt": prompt,
                    "system": system,
                    "temperature": temperature,
                    "seed": seed,
                    "max_tokens": self._tokens,
                    "ignore_end": self._ignores_end,
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
        if wanted["ignore_end"]:
            body["ignore_eos"] = True
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
        saved = time.monotonic()
        until = saved + 60 * minutes
        try:
            while flying:
                done, flying = wait(flying, return_when=FIRST_COMPLETED)
                for answered in done:
                    self._take(answered.result())
                    if time.monotonic() > saved + SAVED_SECONDS:
                        self._save()
                        saved = time.monotonic()
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


def _order(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(key)) for key in ("kind", "prompt", "system", "temperature", "seed", "ignore_end"))


def _identity(row: dict[str, Any]) -> tuple[Any, ...]:
    unending = row.get("ignore_end", False)
    return row["model"], row["prompt"], row["system"], row["temperature"], row["seed"], unending


if __name__ == "__main__":
    main()

"""What the guard saves on a real engine: the same prompts at temperature 0 without a guard, and with it and its ladder.

A part of `ops/bench_guard.py --endpoint URL --model NAME`. Tokens are those that arrived; what the engine's own counter
says it made (vLLM's), which also has those it made before it noticed that nobody listens, is printed beside them.
"""

from __future__ import annotations

import itertools
import json
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tasks.journal import JournalledModel
from tasks.llm.chat import OpenAIChatModel
from tasks.llm.guard import scan
from tasks.sampling import Sampling
from tasks.types import CallKey, Completion, Operator, Prompt
from tests.corpus.label import Label, label
from tests.corpus.prompts import prompt_for
from tests.doubles import Journal
from tests.turns import job_of, turn_of

PARALLEL = 16
CONTEXT_TOKENS = 4_096
SILENCE_SECONDS = 300.0
ANSWER_SECONDS = 900.0
# Another seed than the corpus's default: prompts that nothing was tuned on.
PROMPT_SEED = 1
GENERATED = re.compile(r"^vllm:generation_tokens_total(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)
HEADS = (
    "guard off and on",
    "prompts",
    "tokens off",
    "first call on",
    "all calls on",
    "calls on",
    "saved",
    "sound off",
    "sound on",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One prompt without a guard and with it: tokens and text of the one answer, and a completion for each call."""

    tokens: int
    text: str
    loops: bool
    calls: tuple[Completion, ...]


def savings(endpoint: str, model: str, prompts: int, max_tokens: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The head and the rows of the table: runs that loop without a guard, those that don't, and the engine's count."""
    client = Client(endpoint, model, max_tokens)
    asked = [prompt_for(PROMPT_SEED, number)[1] for number in range(prompts)]
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        counts = [client.generated()]
        plain = list(pool.map(client.plain, asked))
        counts.append(client.generated())
        guarded = list(pool.map(client.guarded, range(prompts), asked))
        counts.append(client.generated())
    runs = [
        Run(tokens=tokens, text=text, loops=loops, calls=calls)
        for (tokens, text, loops), calls in zip(plain, guarded, strict=True)
    ]
    rows = [_row("runs that loop", [r for r in runs if r.loops]), _row("other runs", [r for r in runs if not r.loops])]
    rows.append(_row("all", runs))
    if None not in counts:
        off, on = (after - before for before, after in itertools.pairwise(c for c in counts if c is not None))
        rows.append(
            ("the engine's count", "", f"{off:,.0f}", "", f"{on:,.0f}", "", f"{1 - on / max(1, off):.0%}", "", "")
        )
    return HEADS, rows


class Client:
    """Asks one model, with Redraft's own client and guard or with neither."""

    def __init__(self, endpoint: str, model: str, max_tokens: int) -> None:
        self._endpoint, self._model, self._tokens = endpoint.rstrip("/"), model, max_tokens
        self._chat = OpenAIChatModel(
            base_url=self._endpoint,
            model=model,
            api_key="none",
            context_tokens=CONTEXT_TOKENS,
            first_token_seconds=SILENCE_SECONDS,
            token_silence_seconds=SILENCE_SECONDS,
            extra={},
            engine="bench",
        )

    def plain(self, prompt: str) -> tuple[int, str, bool]:
        """Tokens and text of an answer that nobody watches, and whether it is a loop by the offline definition."""
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0.0,
            "max_tokens": self._tokens,
        }
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._endpoint}/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
            answer = json.load(response)
        (choice,) = answer["choices"]
        text = choice["message"]["content"] or ""
        kind, _ = label(text, cut_off=choice["finish_reason"] == "length")
        return answer["usage"]["completion_tokens"], text, kind in (Label.LOOP, Label.COUNTING)

    def guarded(self, number: int, prompt: str) -> tuple[Completion, ...]:
        """The calls of the ladder. The window is the prompt, which has nothing to be shortened."""
        journal = Journal()
        sampling = Sampling(temperature=0.0, answer_tokens=self._tokens)
        key = CallKey(iteration=1, operator=Operator.DRAFT, slot=number, attempt=1)
        JournalledModel(ledger=journal, model=self._chat, sampling=sampling).ask(
            turn_of(job_of(seed=PROMPT_SEED)), key, lambda _: Prompt(system="", prefix=prompt)
        )
        return tuple(made for _, _, made in journal.calls.values())

    def generated(self) -> float | None:
        """How many tokens the engine has made since its start, as it says itself; None where it does not say."""
        try:
            with urllib.request.urlopen(self._endpoint.removesuffix("/v1") + "/metrics", timeout=10) as response:
                found = GENERATED.findall(response.read().decode())
        except urllib.error.URLError:
            return None
        return sum(map(float, found)) if found else None


def _row(name: str, runs: Sequence[Run]) -> tuple[str, ...]:
    off = sum(run.tokens for run in runs)
    first = sum(run.calls[0].completion_tokens for run in runs)
    on = sum(call.completion_tokens for run in runs for call in run.calls)
    calls = sum(len(run.calls) for run in runs)
    saved = f"{1 - on / off:.0%}" if off else "-"
    before, after = (sum(scan(run.text) is None for run in runs), sum(run.calls[-1].guard is None for run in runs))
    return name, str(len(runs)), f"{off:,}", f"{first:,}", f"{on:,}", str(calls), saved, str(before), str(after)

"""How many tokens the prompts of a job begin with, counted before the job is stored. Must not know who counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from tasks.prompts import build
from tasks.prompts.fitting import STEPS
from tasks.types import Cut, Job, JobSpec, Message, Modality, Spend

# The tokens of messages by the tokenizer of the model so named; None where nobody counts for it.
TokenCount = Callable[[str, Sequence[Message]], int | None]


def problem_tokens(contents: Mapping[str, bytes], count: TokenCount, spec: JobSpec, model: str) -> int | None:
    """The fewest tokens that the problem takes with its attachments and what belongs to it, as a worker counts them
    before it gives a job up; None where nobody counts, or an attachment is not among the `contents`."""
    hashes = [attachment.sha256 for attachment in spec.attachments if attachment.modality is Modality.TEXT]
    if not contents.keys() >= set(hashes):
        return None
    texts = {sha256: contents[sha256].decode() for sha256 in hashes}
    return count(model, build.draft(_unstored(spec, texts), cut=Cut(prefix=STEPS)).head)


def _unstored(spec: JobSpec, texts: Mapping[str, str]) -> Job:
    return Job(
        id=0,
        owner="",
        spec=spec,
        lane=spec.lane,
        history=(),
        open=None,
        incumbent=None,
        spend=Spend(),
        started_at=datetime.now(UTC),
        texts=texts,
    )

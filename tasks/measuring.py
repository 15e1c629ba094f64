"""How many tokens the prompts of a job begin with, counted before the job is stored. Must not know who counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tasks.prompts import build
from tasks.prompts.fitting import STEPS
from tasks.types import Cut, JobSpec, Message, Modality, unstored_job

# The tokens of messages by the tokenizer of the model so named; None where nobody counts for it.
TokenCount = Callable[[str, Sequence[Message]], int | None]


def problem_tokens(contents: Mapping[str, bytes], count: TokenCount, spec: JobSpec, model: str) -> int | None:
    """The fewest tokens that the problem takes with its attachments and what belongs to it, as a worker counts them
    before it gives a job up; None where nobody counts, or an attachment is not among the `contents`."""
    hashes = [attachment.sha256 for attachment in spec.attachments if attachment.modality is Modality.TEXT]
    if not contents.keys() >= set(hashes):
        return None
    texts = {sha256: contents[sha256].decode() for sha256 in hashes}
    return count(model, build.draft(unstored_job(spec, texts), cut=Cut(prefix=STEPS)).head)

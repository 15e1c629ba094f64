"""The files of jobs, by owner and content: kept in the transaction that submits a job, read by workers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from tasks.errors import AttachmentLost, InvalidInput, MalformedJob
from tasks.store.session import Database
from tasks.store.tables import attachments
from tasks.store.workerrows import WORKER_SILENCE_SECONDS
from tasks.types import Attachment, JobSpec, Lane, Modality


def keep(connection: Connection, specs: Sequence[JobSpec], contents: Mapping[str, bytes]) -> None:
    """Stores what the attachments of `specs` hold, each content once an owner. Raises `InvalidInput` where one is
    neither in `contents` (by hash) nor stored."""
    by_hash = {attachment.sha256: attachment for spec in specs for attachment in spec.attachments}
    if not by_hash:
        return
    own = text("SELECT sha256 FROM attachments WHERE owner = SESSION_USER AND sha256 = ANY(:hashes)")
    stored = set(connection.execute(own, {"hashes": list(by_hash)}).scalars())
    for sha256 in sorted(by_hash.keys() - stored):  # in one order, so that two submissions can't deadlock
        content = contents.get(sha256)
        if content is None or hashlib.sha256(content).hexdigest() != sha256:
            raise InvalidInput("attachments", by_hash[sha256].name, "its content must be submitted with the job")
        connection.execute(
            upsert(attachments)
            .values(sha256=sha256, media_type=by_hash[sha256].media_type, content=content)
            .on_conflict_do_nothing()
        )


def require_served(connection: Connection, specs: Sequence[JobSpec]) -> None:
    """Raises `InvalidInput` where no live worker's model takes all that a job's attachments are."""
    served: dict[Lane, list[tuple[str, frozenset[Modality]]]] = {}
    for spec in specs:
        if spec.modalities == {Modality.TEXT}:
            continue
        if spec.lane not in served:
            served[spec.lane] = _served(connection, spec.lane)
        models = served[spec.lane]
        if any(spec.modalities <= taken for _, taken in models):
            continue
        known = {modality for _, taken in models for modality in taken}
        odd = next((a for a in spec.attachments if a.modality not in known), None)
        name = odd or next(a for a in spec.attachments if a.modality is not Modality.TEXT)
        needs = " and ".join(sorted(spec.modalities - {Modality.TEXT}))
        has = "; ".join(f"{model} takes {', '.join(sorted(taken))}" for model, taken in models) or "no worker now"
        where = "attachments" if len(specs) == 1 else f"attachments of {spec.title!r}"
        raise InvalidInput(where, name.name, f"no model that is served takes {needs}: lane {spec.lane} has {has}")


def _served(connection: Connection, lane: Lane) -> list[tuple[str, frozenset[Modality]]]:
    """Each model that a live worker serves on `lane`, and what it takes."""
    rows = connection.execute(
        text("""SELECT DISTINCT model, modalities FROM workers WHERE :lane = ANY(lanes)
                AND seen_at > now() - make_interval(secs => :silence) ORDER BY model"""),
        {"lane": str(lane), "silence": WORKER_SILENCE_SECONDS},
    )
    known = frozenset(Modality)
    return [(row.model or "a model", frozenset(m for m in known if m in row.modalities)) for row in rows]


def texts(connection: Connection, spec: JobSpec) -> dict[str, str]:
    """The contents of the text attachments of a stored job, by hash. Raises `AttachmentLost`, `MalformedJob`."""
    text_files = (attachment for attachment in spec.attachments if attachment.modality is Modality.TEXT)
    return {attachment.sha256: _text(attachment, _content(connection, attachment)) for attachment in text_files}


def _text(attachment: Attachment, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedJob(f"the attachment {attachment.name} is no text: byte {error.start} is not UTF-8") from None


def read_content(database: Database, attachment: Attachment) -> bytes:
    """What a stored job's attachment holds. Raises `AttachmentLost`, `DatabaseUnavailable`."""
    with database.connect() as connection:
        return _content(connection, attachment)


def _content(connection: Connection, attachment: Attachment) -> bytes:
    where = attachments.c.owner == attachment.owner, attachments.c.sha256 == attachment.sha256
    content = connection.execute(select(attachments.c.content).where(*where)).scalar_one_or_none()
    if content is None or hashlib.sha256(content).hexdigest() != attachment.sha256:
        state = "is not stored" if content is None else "was changed in the store"
        raise AttachmentLost(f"the attachment {attachment.name} ({attachment.sha256[:12]}) {state}")
    return bytes(content)

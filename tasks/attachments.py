"""Files that a problem's prose links to → attachments, or one clear line.

Where a link may lead is `tasks.jobfolder`'s to say. Must not know the database or the models.
"""

from __future__ import annotations

import hashlib
import os.path
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from tasks.decoding import decode
from tasks.errors import InvalidInput
from tasks.faults import Faults
from tasks.jobfolder import Missing, is_inside, locate, read
from tasks.types import Attachment

# What one prompt can carry: the engine's profiles allow as many images.
MOST = 16
MEDIA_BYTES = 20_000_000
# As much as a problem itself: a model reads it word for word.
TEXT_BYTES = 1_000_000
TOTAL_BYTES = 50_000_000

_MEDIA = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
}
_TEXT = re.compile(
    r"\.(txt|md|rst|csv|tsv|jsonl?|ndjson|ya?ml|toml|ini|cfg|xml|svg|tex|bib|log|diff|patch|sql|dot|cnf|smt2|lean|"
    r"pyi?|js|ts|c|h|cc|cpp|hpp|cs|go|rs|java|kt|swift|rb|pl|lua|r|jl|m|scala|hs|ml|v|sh)"
)
_KINDS = "png, jpeg, gif, webp, wav, mp3, or text in UTF-8 with an ending such as .txt, .md, .csv, .json, .py"
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"ID3", "audio/mpeg"),
)
# An address, an anchor, a query: no file of the job's.
_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|[#?]|$")
# What a link looks like at the least; most problems have none, and are not parsed.
_MAYBE_LINK = re.compile(r"\][(\[:]")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedFile:
    """An attachment with its content, which the store keeps once an owner."""

    attachment: Attachment
    content: bytes


def read_attachments(problem: str, folder: Path) -> tuple[AttachedFile, ...]:
    """The files of `folder` that the Markdown of `problem` links to outside its code, in the order of their links.

    Addresses and anchors are left alone, and so are links to what is neither a picture nor named like a file that can
    be attached. Raises `InvalidInput`.
    """
    files: dict[PurePosixPath, AttachedFile] = {}
    faults = Faults()
    for target, picture in dict.fromkeys(_links(problem)):
        with faults.gather():
            path = _locate(target, folder, picture=picture)
            if path is not None and path not in files:
                files[path] = _read(folder, path, target)
        if len(files) > MOST:
            faults.add(InvalidInput("problem", target, f"at most {MOST} files are attached to a job"))
            break
        if sum(file.attachment.bytes for file in files.values()) > TOTAL_BYTES:
            allowed = f"the files of a job have at most {TOTAL_BYTES:,} bytes together"
            faults.add(InvalidInput("problem", target, allowed))
            break
    faults.refuse()
    return tuple(files.values())


def _links(problem: str) -> Iterator[tuple[str, bool]]:
    """Each path that is linked to, decoded, and whether it stands as a picture."""
    if not _MAYBE_LINK.search(problem):
        return
    from markdown_it import MarkdownIt

    for block in MarkdownIt("commonmark").parse(problem):
        for token in block.children or ():
            target = str(token.attrGet("href" if token.type == "link_open" else "src") or "")
            if token.type in ("link_open", "image") and not _ELSEWHERE.match(target):
                yield unquote(re.split(r"[?#]", target, maxsplit=1)[0]), token.type == "image"


def _locate(target: str, folder: Path, *, picture: bool) -> PurePosixPath | None:
    """The file in `folder`, None where the link means no file of the job's."""
    suffix = PurePosixPath(target).suffix.lower()
    kind = suffix in _MEDIA or _TEXT.fullmatch(suffix) is not None
    if not picture and not kind and not (is_inside(target) and (folder / os.path.normpath(target)).is_file()):
        return None
    try:
        path = locate(folder, target, noun="linked file", verb="attached")
    except Missing as error:
        raise InvalidInput("problem", target, f"{error}; an address has https://") from None
    except ValueError as error:
        raise InvalidInput("problem", target, str(error)) from None
    if not kind and (folder / path).is_file():
        raise InvalidInput("problem", target, f"attached are {_KINDS}")
    return path


def _read(folder: Path, path: PurePosixPath, target: str) -> AttachedFile:
    name = os.path.normpath(target)
    expected = _MEDIA.get(PurePosixPath(name).suffix.lower())
    limit = MEDIA_BYTES if expected else TEXT_BYTES
    try:
        content = read(folder, path, limit, noun="linked file")
    except ValueError as error:
        raise InvalidInput("problem", target, str(error)) from None
    if len(content) <= limit and expected is None:
        content = _text(content, target).encode()
    if len(content) > limit:
        kind = "an image or a sound" if expected else "a text"
        raise InvalidInput("problem", target, f"{kind} has at most {limit:,} bytes")
    if expected is not None and _sniff(content) != expected:
        actual = _sniff(content) or "none of the kinds that are attached"
        raise InvalidInput("problem", target, f"its ending says {expected}, and its content is {actual}")
    attachment = Attachment(
        name=name,
        media_type=expected or "text/plain",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )
    return AttachedFile(attachment=attachment, content=content)


def _text(content: bytes, target: str) -> str:
    """The text as it is stored: in UTF-8 whatever it was written in, without a mark and with one kind of line end."""
    try:
        text = decode(content)
    except ValueError as error:
        raise InvalidInput("problem", target, f"a text is in UTF-8, or in UTF-16 with its mark ({error})") from None
    if "\0" in text or not text.strip():
        raise InvalidInput("problem", target, "a text holds words and no NUL bytes")
    return text


def _sniff(content: bytes) -> str | None:
    """The media type that the first bytes show, None where it is none of ours."""
    for magic, media_type in _MAGIC:
        if content.startswith(magic):
            return media_type
    if content.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(content[8:12])
    return "audio/mpeg" if _is_mpeg_frame(content[:2]) else None


def _is_mpeg_frame(head: bytes) -> bool:
    """Eleven bits of sync, then a version that is not reserved and layer III (ISO 11172-3)."""
    return len(head) == 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[1] & 0x18 != 0x08

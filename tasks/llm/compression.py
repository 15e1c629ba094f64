"""The second net: text that zlib makes very small, which is repetition that is not exact.

Whisper's threshold of 2.4 (Radford et al., 2022, on lines of speech) fires on most source code. Runs of whitespace
count as one space, and text that is mostly data is left to the first net.
"""

from __future__ import annotations

import statistics
import zlib

from tasks.llm.wording import value_share, word_share
from tasks.types import GuardHit, GuardKind

# (characters, ratio). The highest in the 6,091 ordinary texts of the corpus's tuning half were 10.5, 14.2 and 15.3, in
# package lists, tables of HTML and SQL that declares many functions alike; a tenth or so is added, since another
# machine has other files. The longer windows find a few sentences in ever another order, and copies with a word changed
# here and there.
WINDOWS = ((2_000, 12.0), (4_000, 16.0), (6_000, 16.5))
# The first window is checked each time this many characters arrive, and the longer ones at every fourth check.
EVERY_CHARS = 256
SELDOM = 4
WORD_SHARE = 0.4
# Values to a word: moves of a game, of which the numbers and letters tell.
VALUE_SHARE = 0.4
# With the stretch as zlib's dictionary, text that belongs to it shrinks by this factor. Ordinary text doesn't, not even
# with its own file as the dictionary.
ALIKE = 5.0
CHUNK_CHARS = 128
PROBE_CHARS = 24
PROBES = 16


def compressible_tail(text: str, read: int) -> GuardHit | None:
    """The repetitive stretch that ends with `text`. `read` counts all characters of the stream so far, a multiple of
    `EVERY_CHARS`; `text` is the last of them."""
    for chars, ratio in WINDOWS if read % (SELDOM * EVERY_CHARS) == 0 else WINDOWS[:1]:
        if len(text) >= chars and _ratio(text[-chars:]) >= ratio and _tells(text[-chars:]):
            begin = onset(text, len(text) - chars)
            period = _period(text[begin:])
            copies = (len(text) - begin) // period
            return GuardHit(kind=GuardKind.COMPRESSION, at_char=begin, copies=copies, period_chars=period)
    return None


def _tells(text: str) -> bool:
    """Whether words tell what the text says, not the values between them."""
    return word_share(text) >= WORD_SHARE and value_share(text) < VALUE_SHARE


def onset(text: str, begin: int) -> int:
    """Where the stretch that ends with `text[begin:]` begins: before its first copy, exact or not."""
    window, first = WINDOWS[0][0], begin
    while begin > 0 and _alike(text[max(0, begin - CHUNK_CHARS) : begin], text[begin : begin + window]):
        begin = max(0, begin - CHUNK_CHARS)
    if begin == first:
        return begin
    known = text[begin : begin + window]
    for position in range(max(0, begin - CHUNK_CHARS), begin, 8):
        if text[position : position + PROBE_CHARS] in known:
            return position
    return begin


def stretch_end(text: str, begin: int, end: int) -> int:
    """How far the stretch `text[begin:end]` goes on, in steps of `CHUNK_CHARS`."""
    while end < len(text) and _alike(text[end : end + CHUNK_CHARS], text[max(begin, end - WINDOWS[0][0]) : end]):
        end = min(len(text), end + CHUNK_CHARS)
    return end


def _ratio(text: str) -> float:
    plain = " ".join(text.split()).encode("utf-8", "surrogatepass")
    return len(plain) / len(zlib.compress(plain))


def _alike(chunk: str, known: str) -> bool:
    """Whether `chunk` compresses to nearly nothing with `known` as the dictionary."""
    packer = zlib.compressobj(wbits=-15, zdict=known.encode("utf-8", "surrogatepass"))
    plain = chunk.encode("utf-8", "surrogatepass")
    return len(plain) >= ALIKE * len(packer.compress(plain) + packer.flush())


def _period(stretch: str) -> int:
    """How far apart equal pieces of the stretch lie, as a median over a few pieces near its end."""
    gaps = list[int]()
    for number in range(PROBES):
        position = len(stretch) - PROBE_CHARS * (number + 1)
        before = stretch.rfind(stretch[position : position + PROBE_CHARS], 0, position + PROBE_CHARS - 1)
        if before >= 0:
            gaps.append(position - before)
    return int(statistics.median(gaps)) if gaps else PROBE_CHARS

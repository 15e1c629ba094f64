"""The fourth net: sentences that bring nothing new, in whatever order.

A sentence is known where another of the last `REMEMBERED` has the same words and its values (numbers, single capitals,
truth values) are those that it had last, or go on as they went before: a counter foretells itself, while the moves of a
tower, the cases of a proof and the steps of a simulation do not. Or where it only puts known words together anew, over
a page that has hardly any. What looks like code, a table or a log brings what this net cannot read, and ends a run.
"""

from __future__ import annotations

import operator
import re
from collections import Counter, OrderedDict, deque

from tasks.llm.wording import reads_as_prose
from tasks.types import GuardHit, GuardKind

REMEMBERED = 48
# A run of known sentences: at least so many, over so many characters. The longest in ordinary texts of the tuning half
# cover 640 characters, in the registers of a struct.
SENTENCES = 12
SENTENCES_CHARS = 1_000
# So many words in a row, of which so few are different. The fewest in ordinary texts of the
# tuning half are 62, in songs.
WORDS = 300
DIFFERENT = 50
STRICT_CHARS, STRICT_WORDS = 4_000, 700
# A longer one is cut where it is.
SENTENCE_CHARS = 400
# A shorter one says nothing, known or not.
LEAST_WORDS = 3
LEAST_LETTERS = 8
# A shorter sentence with another word says another thing.
NEARLY_WORDS = 7

_END = re.compile(r"[.!?;](?=\s)|[。！？]|\n")
_VALUE = re.compile(r"\d+(?:\.\d+)*|(?<=[^.!?]\s)[A-HJ-Z]\b|\b(?:true|false)\b")
_WORD = re.compile(r"[^\W\d_]{2,}|[^\x00-\u02ff\W\d_]")
_LETTER = re.compile(r"[^\W\d_]")


class Novelty:
    """Watches the sentences of one stream. Constant work per word.

    With `strict` it waits for a thousand tokens, over which not even a counter goes on.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._most_words = STRICT_WORDS if strict else WORDS
        self._least_chars = STRICT_CHARS if strict else SENTENCES_CHARS
        self._at, self._pending = 0, ""
        self._known: OrderedDict[str, list[tuple[str, ...]]] = OrderedDict()
        self._sentences: deque[tuple[str, ...]] = deque(maxlen=REMEMBERED)
        self._values: tuple[str, ...] = ()
        self._run, self._begin = 0, 0
        self._words: deque[tuple[str, int]] = deque()
        self._counts: Counter[str] = Counter()

    def feed(self, text: str) -> GuardHit | None:
        """Takes the next characters; a hit where a sentence that ends in them is one too many."""
        self._pending += text
        hit = None
        while hit is None and (match := _END.search(self._pending)) is not None:
            hit = self._take(self._pending[: match.end()])
        if hit is None and len(self._pending) > SENTENCE_CHARS:
            hit = self._take(self._pending)
        return hit

    def _take(self, piece: str) -> GuardHit | None:
        sentence, start = piece.strip(), self._at
        self._at, self._pending = start + len(piece), self._pending[len(piece) :]
        words = _WORD.findall(sentence.lower())
        if not _LETTER.search(sentence):
            return None
        if not reads_as_prose(sentence):
            self._forget()
            return None
        if len(words) < LEAST_WORDS and sum(map(len, words)) < LEAST_LETTERS:
            return None
        known, informs = self._assess(sentence, tuple(words))
        self._run = self._run + 1 if known else 0
        if not known:
            self._begin = self._at
        self._page(words, start, informs=informs)
        return self._repeats(start) or self._circles()

    def _assess(self, sentence: str, words: tuple[str, ...]) -> tuple[bool, bool]:
        """Whether the sentence is known, and whether its values are news."""
        skeleton = _VALUE.sub("0", sentence).lower()
        values, past = tuple(_VALUE.findall(sentence)), self._known.pop(skeleton, [])
        near = not past and self._nearly_known(words)
        self._known[skeleton] = [*past[-2:], values]
        self._sentences.append(words)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        foretold = bool(past) and (values == past[-1] or (not self._strict and _goes_on(past, values)))
        informs = bool(values) and not foretold and values != self._values
        self._values = values or self._values
        return foretold or (near and not informs), informs

    def _nearly_known(self, words: tuple[str, ...]) -> bool:
        """Whether all words but one stand in their places in a remembered sentence, and that one is on the page."""
        if len(words) < NEARLY_WORDS or not all(word in self._counts for word in words):
            return False
        return any(len(words) == len(known) and sum(map(operator.ne, words, known)) <= 1 for known in self._sentences)

    def _page(self, words: list[str], start: int, *, informs: bool) -> None:
        if informs:
            self._words.clear()
            self._counts.clear()
            return
        for word in words:
            self._words.append((word, start))
            self._counts[word] += 1
        while len(self._words) > self._most_words:
            word, _ = self._words.popleft()
            self._counts[word] -= 1
            if not self._counts[word]:
                del self._counts[word]

    def _repeats(self, start: int) -> GuardHit | None:
        length = self._at - self._begin
        if self._run < SENTENCES or length < self._least_chars:
            return None
        return _hit(self._begin, length, max(1, len(self._known)), self._run)

    def _circles(self) -> GuardHit | None:
        if len(self._words) < self._most_words or len(self._counts) > DIFFERENT:
            return None
        begin = self._words[0][1]
        return _hit(begin, self._at - begin, len(self._counts), self._most_words)

    def _forget(self) -> None:
        self._known.clear()
        self._sentences.clear()
        self._words.clear()
        self._counts.clear()
        self._run, self._begin = 0, self._at


def _hit(begin: int, length: int, different: int, of: int) -> GuardHit:
    copies = max(2, of // different)
    return GuardHit(kind=GuardKind.NOVELTY, at_char=begin, copies=copies, period_chars=max(1, length // copies))


def _goes_on(past: list[tuple[str, ...]], values: tuple[str, ...]) -> bool:
    """Whether each value differs from the last one as that did from the one before."""
    if len(past) < 2 or not len(past[-2]) == len(past[-1]) == len(values):
        return False
    return all(_steps(*three) for three in zip(past[-2], past[-1], values, strict=True))


def _steps(first: str, middle: str, last: str) -> bool:
    if not (first.isdecimal() and middle.isdecimal() and last.isdecimal()):
        return first == middle == last
    return int(last[:18]) - int(middle[:18]) == int(middle[:18]) - int(first[:18])

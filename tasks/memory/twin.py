"""The bank's in-memory twin: the same answers without a server, for tests and to show how the bank works."""

from __future__ import annotations

import math
from collections.abc import Callable

from tasks.memory.embedder import Embedder
from tasks.memory.ranking import DEPTH, cosine, lesson_text, newest_first_among_equals
from tasks.types import Lesson, LessonKind, Match


class InMemoryBank:
    """Implements `MemoryBank` in a dictionary. Parameter: the `embedder`."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._lessons: dict[int, Lesson] = {}

    def upsert(self, lesson: Lesson) -> None:
        """Adds a stored lesson, or replaces it."""
        self._lessons[lesson.id] = lesson

    def search(
        self, owner: str, text: str, *, family: str | None = None, kind: LessonKind | None = None, limit: int = 5
    ) -> tuple[Match, ...]:
        """The best `limit` by reciprocal rank fusion of dense and sparse."""
        lessons = [
            lesson
            for lesson in self._lessons.values()
            if lesson.owner == owner and family in (None, lesson.family) and kind in (None, lesson.kind)
        ]
        word_score = self._word_scores(text)
        similarity = {lesson.id: self._similarity(text, lesson) for lesson in lessons}
        word_scores = {lesson.id: word_score(lesson) for lesson in lessons}
        fused = dict.fromkeys(similarity, 0.0)
        for scores in (similarity, {number: score for number, score in word_scores.items() if score}):
            for rank, number in enumerate(sorted(scores, key=lambda n: -scores[n])[: limit * DEPTH]):
                fused[number] += 1 / (rank + 2)  # Qdrant's constant
        matches = [
            Match(lesson=lesson, similarity=similarity[lesson.id], score=fused[lesson.id])
            for lesson in lessons
            if fused[lesson.id]
        ]
        return newest_first_among_equals(matches, limit)

    def nearest(self, lesson: Lesson) -> Match | None:
        """The earlier lesson with the most similar meaning."""
        text = lesson_text(lesson)
        matches = [
            Match(lesson=other, similarity=(similarity := self._similarity(text, other)), score=similarity)
            for other in self._lessons.values()
            if other.id < lesson.id
            and (other.owner, other.family, other.kind) == (lesson.owner, lesson.family, lesson.kind)
        ]
        return max(matches, key=lambda match: match.similarity, default=None)

    def remove(self, lesson: int) -> None:
        """Removes a lesson."""
        self._lessons.pop(lesson, None)

    def clear(self, owner: str | None = None) -> None:
        """Removes all lessons of `owner`, or of everybody."""
        self._lessons = {n: lesson for n, lesson in self._lessons.items() if owner not in (None, lesson.owner)}

    def count(self) -> int:
        """How many lessons there are."""
        return len(self._lessons)

    def _similarity(self, text: str, lesson: Lesson) -> float:
        return cosine(self._embedder.dense(text), self._embedder.dense(lesson_text(lesson)))

    def _word_scores(self, text: str) -> Callable[[Lesson], float]:
        """BM25 over all lessons, with the inverse document frequency that Qdrant's modifier applies."""
        query = set(self._embedder.sparse(text, query=True).indices)
        vectors = [self._embedder.sparse(lesson_text(lesson)) for lesson in self._lessons.values()]
        frequency = {word: sum(word in vector.indices for vector in vectors) for word in query}
        idf = {word: math.log((len(vectors) - n + 0.5) / (n + 0.5) + 1) for word, n in frequency.items()}

        def score(lesson: Lesson) -> float:
            vector = self._embedder.sparse(lesson_text(lesson))
            return sum(
                idf[word] * value for word, value in zip(vector.indices, vector.values, strict=True) if word in idf
            )

        return score

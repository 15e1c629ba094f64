"""The bank in Qdrant, by URL: the embedded memory part and a real server alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from tasks.errors import MemoryUnavailable
from tasks.memory.embedder import DIMENSIONS, Embedder, Sparse
from tasks.memory.ranking import DEPTH, cosine, lesson_text, newest_first_among_equals
from tasks.types import Lesson, LessonKind, Match

COLLECTION = "redraft_lessons"
DENSE, SPARSE = "meaning", "words"
# A memory that hangs delays a job by this much, once: the lease of its turn is several times longer.
TIMEOUT_SECONDS = 3
MISSING, EXISTS = 404, 409

Result = TypeVar("Result")


class QdrantBank:
    """Implements `MemoryBank`. Creates its collection at the first request that misses it. Safe to share between
    threads.

    Parameters: `url` (http://host:port), `key` (empty: none is sent), the `embedder`, the `collection`'s name.
    """

    def __init__(self, url: str, key: str, embedder: Embedder, *, collection: str = COLLECTION) -> None:
        self._embedder, self._collection = embedder, collection
        # As a header of our own: `api_key=` warns on loopback. The compatibility check is a request in a thread.
        headers = {"api-key": key} if key else None
        self._client = QdrantClient(url=url, headers=headers, timeout=TIMEOUT_SECONDS, check_compatibility=False)

    def upsert(self, lesson: Lesson) -> None:
        """Adds a stored lesson, or replaces it: the point's number is the lesson's. Raises `MemoryUnavailable`."""
        text = lesson_text(lesson)
        point = models.PointStruct(
            id=lesson.id,
            vector={DENSE: list(self._embedder.dense(text)), SPARSE: _sparse(self._embedder.sparse(text))},
            payload=dataclasses.asdict(lesson),
        )
        self._request(lambda: self._client.upsert(self._collection, points=[point], wait=True))

    def search(
        self, owner: str, text: str, *, family: str | None = None, kind: LessonKind | None = None, limit: int = 5
    ) -> tuple[Match, ...]:
        """The best `limit` by reciprocal rank fusion of dense and sparse. Raises `MemoryUnavailable`."""
        condition = _is(owner=owner, family=family, kind=kind)
        dense, deep = self._embedder.dense(text), limit * DEPTH
        words = _sparse(self._embedder.sparse(text, query=True))
        prefetch = [models.Prefetch(query=list(dense), using=DENSE, filter=condition, limit=deep)]
        if words.indices:
            prefetch.append(models.Prefetch(query=words, using=SPARSE, filter=condition, limit=deep))
        result = self._request(
            lambda: self._client.query_points(
                self._collection,
                prefetch=prefetch,
                query=models.FusionQuery(fusion=models.Fusion.RRF),
                limit=deep,
                with_payload=True,
                with_vectors=[DENSE],
            )
        )
        return newest_first_among_equals([_match(point, dense) for point in result.points], limit)

    def nearest(self, lesson: Lesson) -> Match | None:
        """The earlier lesson with the most similar meaning. Raises `MemoryUnavailable`."""
        condition = _is(owner=lesson.owner, family=lesson.family, kind=lesson.kind)
        earlier = models.FieldCondition(key="id", range=models.Range(lt=lesson.id))
        dense = self._embedder.dense(lesson_text(lesson))
        result = self._request(
            lambda: self._client.query_points(
                self._collection,
                query=list(dense),
                using=DENSE,
                query_filter=models.Filter(must=[condition, earlier]),
                limit=1,
                with_payload=True,
                with_vectors=[DENSE],
            )
        )
        return next((_match(point, dense) for point in result.points), None)

    def remove(self, lesson: int) -> None:
        """Removes a lesson. Raises `MemoryUnavailable`."""
        self._delete(models.PointIdsList(points=[lesson]))

    def clear(self, owner: str | None = None) -> None:
        """Removes all lessons of `owner`, or of everybody. Raises `MemoryUnavailable`."""
        if owner is None:
            self._request(lambda: self._client.delete_collection(self._collection))
        else:
            self._delete(models.FilterSelector(filter=_is(owner=owner)))

    def count(self) -> int:
        """How many lessons there are. Raises `MemoryUnavailable`."""
        return self._request(lambda: self._client.count(self._collection, exact=True)).count

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def _delete(self, which: models.PointsSelector) -> None:
        self._request(lambda: self._client.delete(self._collection, points_selector=which, wait=True))

    def _request(self, request: Callable[[], Result]) -> Result:
        """Sends one request; where the collection is missing (a new memory), creates it and sends the request again."""
        try:
            try:
                return request()
            except UnexpectedResponse as error:
                if error.status_code != MISSING:
                    raise
                self._create_collection()
                return request()
        except (ApiException, QdrantException, ValueError, OSError) as error:
            raise MemoryUnavailable(f"the memory did not answer: {_message(error)}") from error

    def _create_collection(self) -> None:
        """Creates the collection and the indexes of the fields that filters use; a collection that another process has
        just created is fine."""
        try:
            self._client.create_collection(
                self._collection,
                vectors_config={DENSE: models.VectorParams(size=DIMENSIONS, distance=models.Distance.COSINE)},
                sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            )
        except UnexpectedResponse as error:
            if error.status_code != EXISTS:
                raise
        kinds = dict.fromkeys(("owner", "family", "kind"), models.PayloadSchemaType.KEYWORD)
        for name, schema in {**kinds, "id": models.PayloadSchemaType.INTEGER}.items():
            self._client.create_payload_index(self._collection, field_name=name, field_schema=schema)


def _is(**fields: str | None) -> models.Filter:
    conditions: list[Any] = [
        models.FieldCondition(key=name, match=models.MatchValue(value=str(value)))
        for name, value in fields.items()
        if value is not None
    ]
    return models.Filter(must=conditions)


def _sparse(vector: Sparse) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _match(point: models.ScoredPoint, query: tuple[float, ...]) -> Match:
    """The lesson of a point, with its similarity and score. Raises `ValueError` where the point holds no lesson."""
    payload, vectors = point.payload or {}, point.vector
    try:
        lesson = Lesson(**{**payload, "kind": LessonKind(payload["kind"])})
        stored: Any = vectors[DENSE]  # type: ignore[index,call-overload]
    except (KeyError, TypeError) as error:
        raise ValueError(f"point {point.id} is no lesson; `redraft memory rebuild` rebuilds the index") from error
    return Match(lesson=lesson, similarity=cosine(query, stored), score=point.score)


def _message(error: Exception) -> str:
    source = getattr(error, "source", error)
    return " ".join(str(source).split())[:300] or type(source).__name__

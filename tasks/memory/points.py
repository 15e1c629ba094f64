"""Qdrant's local mode behind the few REST requests that our bank sends; the embedded memory part serves it.

Must not know HTTP beyond method, path and body, nor lessons. One process may open a folder, and one thread use it at a
time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from qdrant_client import QdrantClient
from qdrant_client.http import models

Answer = tuple[int, dict[str, Any]]
OK, REFUSED, MISSING, EXISTS = 200, 400, 404, 409

_COLLECTION = re.compile(r"/collections/(?P<name>[A-Za-z0-9_-]{1,80})(?P<rest>/.*)?")


class LocalPoints:
    """The collections in one `folder`. Raises `RuntimeError` where another process has opened it, and other exceptions
    where its data cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._client = QdrantClient(path=str(folder))
        self._routes: dict[tuple[str, str], Callable[[str, bytes], Any]] = {
            ("PUT", ""): self._create,
            ("DELETE", ""): lambda name, _: self._client.delete_collection(name),
            ("GET", "/exists"): lambda name, _: {"exists": self._client.collection_exists(name)},
            ("PUT", "/index"): lambda name, _: _done(),  # local mode filters without an index
            ("PUT", "/points"): self._upsert,
            ("POST", "/points/query"): self._query,
            ("POST", "/points/delete"): self._delete,
            ("POST", "/points/count"): self._count,
        }

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """The status and the JSON document for one request, as a Qdrant server answers it."""
        if path == "/":
            return OK, {"title": "qdrant - local mode of its client", "version": version("qdrant-client")}
        match = _COLLECTION.fullmatch(path)
        route = self._routes.get((method, match["rest"] or "")) if match else None
        if match is None or route is None:
            return _error(MISSING, f"{method} {path} is not served by the embedded memory")
        name, exists = match["name"], self._client.collection_exists(match["name"])
        if (method, match["rest"]) == ("PUT", None) and exists:
            return _error(EXISTS, f"collection `{name}` already exists")
        if not exists and route not in (self._create, self._routes["GET", "/exists"]):
            return _error(MISSING, f"collection `{name}` doesn't exist")
        try:
            result = route(name, body)
        except (ValidationError, ValueError, KeyError) as error:
            return _error(REFUSED, " ".join(str(error).split())[:500])
        return OK, {"result": result, "status": "ok", "time": 0.0}

    def close(self) -> None:
        """Releases the folder."""
        self._client.close()

    def _create(self, name: str, body: bytes) -> bool:
        request = models.CreateCollection.model_validate_json(body)
        return self._client.create_collection(
            name, vectors_config=request.vectors, sparse_vectors_config=request.sparse_vectors
        )

    def _upsert(self, name: str, body: bytes) -> Any:
        points = models.PointsList.model_validate_json(body).points
        self._client.upsert(name, points=points)
        return _done()

    def _query(self, name: str, body: bytes) -> Any:
        request = models.QueryRequest.model_validate_json(body)
        response = self._client.query_points(
            name,
            query=request.query,
            using=request.using,
            prefetch=request.prefetch,
            query_filter=request.filter,
            limit=request.limit or 10,
            with_payload=True if request.with_payload is None else request.with_payload,
            with_vectors=False if request.with_vector is None else request.with_vector,
        )
        return _plain(response)

    def _delete(self, name: str, body: bytes) -> Any:
        selector = json.loads(body)
        kind = models.PointIdsList if "points" in selector else models.FilterSelector
        self._client.delete(name, points_selector=kind.model_validate(selector))
        return _done()

    def _count(self, name: str, body: bytes) -> Any:
        request = models.CountRequest.model_validate_json(body)
        return _plain(self._client.count(name, count_filter=request.filter, exact=True))


def _plain(model: BaseModel) -> Any:
    return model.model_dump(mode="json", exclude_none=True)


def _done() -> Any:
    return _plain(models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED))


def _error(status: int, why: str) -> Answer:
    return status, {"status": {"error": why}, "result": None, "time": 0.0}

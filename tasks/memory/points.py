"""Qdrant's local mode behind the few REST requests that our bank sends: what the embedded memory part serves.

Must not know HTTP beyond method, path and body, nor lessons. One process may own a folder; one thread at a time.
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
    """Parameters: `folder` of the data. Raises `RuntimeError` where another process owns it, whatever else where it
    holds data that cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._client = QdrantClient(path=str(folder))
        self._routes: dict[tuple[str, str], Callable[[str, bytes], Any]] = {
            ("PUT", ""): self._create,
            ("DELETE", ""): lambda name, _: self._client.delete_collection(name),
            ("GET", "/exists"): lambda name, _: {"exists": self._client.collection_exists(name)},
            ("PUT", "/index"): lambda name, _: _done(),  # local mode filters without
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
            return _refusal(MISSING, f"{method} {path} is not served by the embedded memory")
        name, known = match["name"], self._client.collection_exists(match["name"])
        if (method, match["rest"]) == ("PUT", None) and known:
            return _refusal(EXISTS, f"collection `{name}` already exists")
        if not known and route not in (self._create, self._routes["GET", "/exists"]):
            return _refusal(MISSING, f"collection `{name}` doesn't exist")
        try:
            result = route(name, body)
        except (ValidationError, ValueError, KeyError) as error:
            return _refusal(REFUSED, " ".join(str(error).split())[:500])
        return OK, {"result": result, "status": "ok", "time": 0.0}

    def close(self) -> None:
        """Gives the folder back."""
        self._client.close()

    def _create(self, name: str, body: bytes) -> bool:
        asked = models.CreateCollection.model_validate_json(body)
        return self._client.create_collection(
            name, vectors_config=asked.vectors, sparse_vectors_config=asked.sparse_vectors
        )

    def _upsert(self, name: str, body: bytes) -> Any:
        points = models.PointsList.model_validate_json(body).points
        self._client.upsert(name, points=points)
        return _done()

    def _query(self, name: str, body: bytes) -> Any:
        asked = models.QueryRequest.model_validate_json(body)
        found = self._client.query_points(
            name,
            query=asked.query,
            using=asked.using,
            prefetch=asked.prefetch,
            query_filter=asked.filter,
            limit=asked.limit or 10,
            with_payload=True if asked.with_payload is None else asked.with_payload,
            with_vectors=False if asked.with_vector is None else asked.with_vector,
        )
        return _plain(found)

    def _delete(self, name: str, body: bytes) -> Any:
        asked = json.loads(body)
        kind = models.PointIdsList if "points" in asked else models.FilterSelector
        self._client.delete(name, points_selector=kind.model_validate(asked))
        return _done()

    def _count(self, name: str, body: bytes) -> Any:
        asked = models.CountRequest.model_validate_json(body)
        return _plain(self._client.count(name, count_filter=asked.filter, exact=True))


def _plain(model: BaseModel) -> Any:
    return model.model_dump(mode="json", exclude_none=True)


def _done() -> Any:
    return _plain(models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED))


def _refusal(status: int, why: str) -> Answer:
    return status, {"status": {"error": why}, "result": None, "time": 0.0}

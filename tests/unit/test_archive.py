"""The folder that deleted jobs are kept in: whole, compressed, named with its count and hash, never written over."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.archive import MANIFEST, Archive, content
from tasks.errors import PruneRefused


def test_rows_are_kept_as_lines_and_named_in_the_manifest_with_their_hash(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "archive"
    Archive(folder).keep([3, 7], iter(['{"a": "ü"}', '{"b": 2}']))
    path = folder / "jobs-3-7.jsonl.gz"
    lines = gzip.decompress(path.read_bytes())
    assert lines.decode() == '{"a": "ü"}\n{"b": 2}\n'
    entry = json.loads((folder / MANIFEST).read_text())
    assert entry == {
        "file": path.name,
        "jobs": [3, 7],
        "rows": 2,
        "sha256": hashlib.sha256(lines).hexdigest(),
    }
    assert content(path) == (2, entry["sha256"])


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    for text in ("one", "two"):
        Archive(tmp_path).keep([1], iter([text]))
    assert [gzip.decompress((tmp_path / f"jobs-1-1{end}.jsonl.gz").read_bytes()) for end in ("", "-2")] == [
        b"one\n",
        b"two\n",
    ]
    assert len((tmp_path / MANIFEST).read_text().splitlines()) == 2


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    Archive(tmp_path).keep([1], iter(["row"] * 1000))
    path = tmp_path / "jobs-1-1.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(PruneRefused, match="is damaged"):
        content(path)


def test_what_stops_the_rows_leaves_no_entry_in_the_manifest(tmp_path: Path) -> None:
    def rows() -> Iterator[str]:
        yield "one"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        Archive(tmp_path).keep([1], rows())
    assert not (tmp_path / MANIFEST).exists()

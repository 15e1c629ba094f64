"""A folder of what was deleted: JSON lines in files compressed with gzip, and a manifest with the count and SHA-256 of
each. Knows no database."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.errors import PruneRefused

MANIFEST = "manifest.jsonl"


class Archive:
    """Parameters: `folder`, made where it is not there. A file of it is never written over. Raises `OSError`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def keep(self, jobs: Sequence[int], rows: Iterator[str]) -> None:
        """Writes the rows of these jobs into a file of their own, reads it back, and then names it in the manifest; all
        is on the disk when it returns.

        Raises `PruneRefused` where what is read is not what was written, `OSError` where the folder takes no more.
        """
        path = self._free(f"jobs-{min(jobs)}-{max(jobs)}")
        count, digest = 0, hashlib.sha256()
        with path.open("xb") as file:
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as compressed:
                for row in rows:
                    line = row.encode() + b"\n"
                    digest.update(line)
                    compressed.write(line)
                    count += 1
            file.flush()
            os.fsync(file.fileno())
        if content(path) != (count, digest.hexdigest()):
            raise PruneRefused(f"{path} does not hold what was written into it")
        entry = {"file": path.name, "jobs": list(jobs), "rows": count, "sha256": digest.hexdigest()}
        with (self._folder / MANIFEST).open("a", encoding="utf-8") as manifest:
            manifest.write(json.dumps(entry) + "\n")
            manifest.flush()
            os.fsync(manifest.fileno())
        self._sync_folder()

    def _free(self, stem: str) -> Path:
        """A path that nothing has: a batch that was kept and then not deleted is kept again."""
        names = (f"{stem}{'' if number == 1 else f'-{number}'}.jsonl.gz" for number in range(1, 1_000_000))
        return next(path for name in names if not (path := self._folder / name).exists())

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def content(path: Path) -> tuple[int, str]:
    """How many lines a file of an archive holds, and their SHA-256. Raises `PruneRefused` where it can't be read."""
    count, digest = 0, hashlib.sha256()
    try:
        with gzip.open(path, "rb") as lines:
            for line in lines:
                digest.update(line)
                count += 1
    except (EOFError, gzip.BadGzipFile) as error:
        raise PruneRefused(f"{path} is damaged ({error})") from error
    return count, digest.hexdigest()

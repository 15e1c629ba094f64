"""Texts that models wrote, collected by `ops/corpus.py` into `collected/HALF/*.jsonl.gz`: one object a line.

An object has `model, kind, prompt, system, temperature, seed, max_tokens, ignore_end, finish_reason, text, label,
onset, period`. `kind` is what the prompt asks for. `ignore_end`, which the oldest lack, says that the answer could not
end by itself. The last three are what `tests/corpus/label.py` says of the text, kept because it takes long. The half
`report` was collected when the half `tune` had set every threshold, and no prompt is in both.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.corpus.label import Label, label
from tests.corpus.samples import Sample

FOLDER = Path(__file__).parent / "collected"
LIMIT = "length"


def collected(folder: Path = FOLDER) -> Iterator[tuple[Label, Sample]]:
    """Every collected text with its label; nothing where nothing was collected."""
    for path in sorted(folder.glob("*/*.jsonl.gz")):
        for number, row in enumerate(read(path)):
            yield (
                Label(row["label"]),
                Sample(
                    name=f"{path.parent.name}/{path.name}/{number}",
                    kind=_kind(row),
                    text=row["text"],
                    onset=row["onset"],
                    period=row["period"],
                    collected_for=path.parent.name,
                ),
            )


def labelled(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its label, made anew from its text."""
    kind, stretch = label(row["text"], cut_off=row["finish_reason"] == LIMIT)
    found = (stretch.onset, stretch.period) if stretch else (None, None)
    return {**row, "label": kind, "onset": found[0], "period": found[1]}


def _kind(row: Mapping[str, Any]) -> str:
    name = f"{row['model'].rsplit('/', 1)[-1]} at {row['temperature']:g}"
    name += ", no end" if row.get("ignore_end") else ""
    return f"{name}, system" if row["system"] else name


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of one file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes the file anew; the same rows are the same bytes."""
    lines = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(lines.encode("utf-8", "replace"), mtime=0))

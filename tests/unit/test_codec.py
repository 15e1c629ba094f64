"""Checks with their files, as the database keeps them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from tasks.store.codec import checks_to_json, spec_from_row
from tasks.types import CheckSpec

CHECK = CheckSpec(
    name="python:t.py",
    kind="python",
    value="t.py",
    held_out=True,
    files={"t.py": "def test(): ...\n", "rows/é.bin": b"\x00\xff\xfe"},
)


def stored(*checks: dict[str, Any]) -> tuple[CheckSpec, ...]:
    row = SimpleNamespace(
        **dict.fromkeys(("title", "problem", "strategy", "key", "owner"), ""),
        **dict.fromkeys(("budget_usd", "budget_hours", "budget_iterations", "budget_tokens", "priority", "seed"), 1),
        **{"tags": [], "attachments": [], "memory": True, "lane": "gpu", "egress": "never", "checks": checks},
    )
    return spec_from_row(row).checks  # type: ignore[arg-type]


def test_files_come_back_as_they_were_texts_and_bytes() -> None:
    written = json.loads(json.dumps(checks_to_json((CHECK,))))
    assert written[0]["files"] == {"t.py": "def test(): ...\n", "rows/é.bin": {"base64": "AP/+"}}
    assert stored(*written) == (CHECK,)


def test_checks_of_earlier_releases_are_read() -> None:
    old = {"name": "python:v.py", "kind": "python", "value": "v.py", "files": {"v.py": "x"}}
    (check,) = stored(old)
    assert (check.files, check.texts, check.text("v.py")) == ({"v.py": "x"}, {"v.py": "x"}, "x")
    assert stored({"name": "answer", "kind": "answer", "value": {"exact": "1"}})[0].files == {}

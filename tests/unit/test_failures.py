"""The reason that a part leaves behind when it ends on its own account."""

from __future__ import annotations

from pathlib import Path

import structlog

from workers.failures import clear_failure, read_failure, read_warning, write_failure, write_warning
from workers.home import Home


def test_the_reason_stays_until_the_part_is_well(tmp_path: Path) -> None:
    home = Home(root=tmp_path / "home")
    assert read_failure(home, "worker") == ""
    write_failure(home, "worker", "background task events died: OSError: gone")
    assert read_failure(home, "worker") == "background task events died: OSError: gone"
    assert read_failure(home, "relay") == ""
    clear_failure(home, "worker")
    assert read_failure(home, "worker") == ""
    clear_failure(home, "worker")


def test_a_full_disk_keeps_the_reason_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder can be made here")
    with structlog.testing.capture_logs() as lines:
        write_failure(Home(root=tmp_path / "home"), "worker", "no space")
    assert [(line["file"], line["line"]) for line in lines] == [("worker-failure", "no space")]


def test_a_warning_stays_until_another_start_has_none(tmp_path: Path) -> None:
    home = Home(root=tmp_path / "home")
    assert read_warning(home, "engine") == ""
    write_warning(home, "engine", "it answers in the reasoning field only")
    assert read_warning(home, "engine") == "it answers in the reasoning field only"
    write_warning(home, "engine", "")
    assert read_warning(home, "engine") == ""

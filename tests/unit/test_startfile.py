"""The file with the answer that a job begins with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import InvalidInput
from tasks.jobflags import Flags
from tasks.jobfolder import Typed
from tasks.startfile import START_BYTES, read_start
from tasks.submit import Rules, read_jobs
from tasks.validators import registry

RULES = Rules(validators=registry, strategies=("correct",))
JOB = "---\nchecks: [{answer: 42}]\n---\nWhat is six times seven?\n"


def test_it_is_read_from_the_jobs_folder_in_any_coding(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("ANSWER: 41\r\n".encode("utf-16"))
    assert read_start(tmp_path, "a.md") == "ANSWER: 41\n"


def test_a_typed_name_is_from_the_current_folder_and_may_lead_out_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = tmp_path / "jobs" / "job.md"
    job.parent.mkdir()
    job.write_text(JOB)
    (tmp_path / "mine.txt").write_text("ANSWER: 41")
    monkeypatch.chdir(tmp_path)
    for name in ("mine.txt", "jobs/../mine.txt", str(tmp_path / "mine.txt")):
        [spec] = read_jobs([str(job)], Flags(start=Typed(name)), RULES, bytes).specs
        assert spec.start == "ANSWER: 41"
    job.write_text(JOB.replace("---\nWhat", "start: mine.txt\n---\nWhat"))
    with pytest.raises(InvalidInput, match=r"start: 'mine\.txt' is not allowed; a file must be there"):
        read_jobs([str(job)], Flags(), RULES, bytes)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds an answer"),
        (b" \n\t\n", "holds an answer"),
        (b"a\0b", "no NUL bytes"),
        (b"caf\xe9", "offset 3 is not UTF-8"),
        (b"x" * (START_BYTES + 1), "at most 200,000 bytes"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InvalidInput, match=said):
        read_start(tmp_path, "a")


@pytest.mark.parametrize("name", ["../a", "/etc/hostname", ".hidden", "folder", "loop", Typed("/dev/null")])
def test_what_is_no_file_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / ".hidden").write_text("secret")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InvalidInput, match="start"):
        read_start(tmp_path, name)

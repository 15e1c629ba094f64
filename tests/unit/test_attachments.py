"""The files that a problem links to: which are attached, and the one line that refuses the rest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tasks import attachments
from tasks.attachments import read_attachments
from tasks.errors import InvalidInput

PNG = b"\x89PNG\r\n\x1a\nrest"
HEADS = {
    "a.png": (PNG, "image/png"),
    "a.JPG": (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
    "a.jpeg": (b"\xff\xd8\xff\xe1rest", "image/jpeg"),
    "a.gif": (b"GIF89arest", "image/gif"),
    "a.webp": (b"RIFF\0\0\0\0WEBPrest", "image/webp"),
    "a.wav": (b"RIFF\0\0\0\0WAVErest", "audio/wav"),
    "a.mp3": (b"ID3\x04rest", "audio/mpeg"),
    "b.mp3": (b"\xff\xfb\x90\x00rest", "audio/mpeg"),
    "a.csv": ("größe\n1\n".encode(), "text/plain"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job's folder with a picture, a text and a subfolder, in a folder that holds what must stay there."""
    inner = tmp_path / "job"
    (inner / "figs").mkdir(parents=True)
    (inner / ".ssh").mkdir()
    for name in ("fig.png", "figs/two words.png", "up.png"):
        (inner / name).write_bytes(PNG)
    (inner / "data.csv").write_text("x,y\n")
    for path in (tmp_path / "secret.txt", inner / ".ssh" / "key.txt", inner / ".env", inner / "paper.pdf"):
        path.write_text("%PDF secret")
    (inner / "out.txt").symlink_to(tmp_path / "secret.txt")
    (inner / "away").symlink_to(tmp_path)
    (inner / "key.txt").symlink_to(inner / ".ssh" / "key.txt")
    (inner / "round.txt").symlink_to(inner / "round.txt")
    (inner / "same.txt").symlink_to(inner / "data.csv")
    (inner / "folder.txt").mkdir()
    return inner


@pytest.mark.parametrize("name", HEADS)
def test_a_kind_is_told_by_its_ending_and_its_content(folder: Path, name: str) -> None:
    content, media_type = HEADS[name]
    (folder / name).write_bytes(content)
    (made,) = read_attachments(f"See [it]({name}).", folder)
    assert (made.attachment.name, made.attachment.media_type) == (name, media_type)
    assert made.attachment.sha256 == hashlib.sha256(content).hexdigest()
    assert (made.content, made.attachment.bytes) == (content, len(content))


@pytest.mark.parametrize(
    ("problem", "names"),
    [
        ("![a](fig.png) then [b](data.csv) then [again](./fig.png)", ["fig.png", "data.csv"]),
        ("[b][ref] and [![a](fig.png)](data.csv 'title')\n\n[ref]: <figs/two words.png>", None),
        ("[a](figs/two%20words.png) and [b](figs/../data.csv#part)", ["figs/two words.png", "data.csv"]),
        ("[a](same.txt) and [b](data.csv)", ["same.txt"]),
        ("> - ![a](fig.png)", ["fig.png"]),
    ],
)
def test_links_of_every_form_are_followed_once_a_file(folder: Path, problem: str, names: list[str] | None) -> None:
    found = [file.attachment.name for file in read_attachments(problem, folder)]
    assert found == (names or ["figs/two words.png", "data.csv", "fig.png"])


@pytest.mark.parametrize(
    "problem",
    [
        "Words only, with a[i](x) = 3.",
        "```\n![x](fig.png)\n```\n~~~~\n[x](data.csv)\n~~~~",
        "    [indented](data.csv)\n",
        "`[x](data.csv)` and \\[x](data.csv)",
        "[a](https://example.org/a.png) ![b](http://example.org/b.png) [c](mailto:a@b.c) [d](#data.csv) [e](//h/x.txt)",
        "![x](data:image/png;base64,iVBO) ![f](file:///etc/passwd)",
        "[a page](/wiki/Chess) [another](../Chess) [nothing](none) [a folder](figs)",
    ],
)
def test_code_addresses_and_other_links_are_left_alone(folder: Path, problem: str) -> None:
    assert read_attachments(problem, folder) == ()


BAD = {
    "a missing picture": ("![x](none.png)", "'none.png' is not allowed; a linked file must be there (No such file"),
    "a missing picture without ending": ("![x](none)", "a linked file must be there"),
    "a missing text": ("[x](none.csv)", "a linked file must be there"),
    "above the folder": ("[x](../secret.txt)", "'../secret.txt' is not allowed; linked files lie in the job's folder"),
    "above by an escape": ("[x](%2e%2e/secret.txt)", "linked files lie in the job's folder"),
    "above by a detour": ("[x](figs/../../secret.txt)", "linked files lie in the job's folder"),
    "absolute": ("![x](/etc/passwd)", "'/etc/passwd' is not allowed; linked files lie in the job's folder"),
    "at home": ("[x](~/notes.txt)", "linked files lie in the job's folder"),
    "a line break in the name": ("[x](a%0Ab.txt)", "linked files lie in the job's folder"),
    "a symlink out": ("[x](out.txt)", "leads out of it"),
    "a symlinked folder out": ("[x](away/secret.txt)", "leads out of it"),
    "a symlink to a hidden file": ("[x](key.txt)", "hidden files are never attached"),
    "a symlink to itself": ("[x](round.txt)", "must be there"),
    "a hidden folder": ("[x](.ssh/key.txt)", "hidden files are never attached"),
    "a hidden file": ("[x](.env)", "hidden files are never attached"),
    "a folder": ("[x](folder.txt)", "must be a regular file"),
    "a kind that no model takes": ("[x](paper.pdf)", "attached are png, jpeg"),
    "no picture": ("![x](paper.pdf)", "attached are png, jpeg"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_link_is_one_line_that_names_it(folder: Path, case: str) -> None:
    problem, expected = BAD[case]
    with pytest.raises(InvalidInput) as caught:
        read_attachments(problem, folder)
    assert str(caught.value).startswith("problem: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.png", b"\xff\xd8\xff\xe0", "its ending says image/png, and its content is image/jpeg"),
        ("a.png", b"", "its content is none of the kinds"),
        ("a.wav", b"RIFF\0\0\0\0WEBP", "its content is image/webp"),
        ("a.mp3", b"\xff\xffmore", "its content is none of the kinds"),
        ("a.txt", b"caf\xe9", "the byte at offset 3 is not"),
        ("a.txt", b"a\0b", "no NUL bytes"),
        ("a.txt", b" \n", "a text holds words"),
        ("a.txt", b"x" * (attachments.TEXT_BYTES + 1), "a text has at most 1,000,000 bytes"),
        ("a.png", PNG + bytes(attachments.MEDIA_BYTES), "an image or a sound has at most 20,000,000 bytes"),
    ],
)
def test_content_that_is_not_what_it_says_or_too_large_is_refused(
    folder: Path, name: str, content: bytes, expected: str
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=expected):
        read_attachments(f"[x]({name})", folder)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_text_is_stored_in_one_encoding_whatever_editor_wrote_it(folder: Path, encoding: str) -> None:
    (folder / "a.txt").write_bytes("größe\r\n1\r\n".encode(encoding))
    (made,) = read_attachments("[x](a.txt)", folder)
    assert made.content == "größe\n1\n".encode()
    assert made.attachment.bytes == len(made.content)


def test_a_text_may_not_grow_beyond_its_limit_as_it_is_decoded(folder: Path) -> None:
    (folder / "a.txt").write_text("語" * (attachments.TEXT_BYTES // 2 - 1), encoding="utf-16")
    with pytest.raises(InvalidInput, match="a text has at most 1,000,000 bytes"):
        read_attachments("[x](a.txt)", folder)


@pytest.mark.parametrize("name", ["pipe.txt", "pipe.png"])
def test_a_pipe_is_refused_and_not_waited_for(folder: Path, name: str) -> None:
    os.mkfifo(folder / name)
    with pytest.raises(InvalidInput, match="must be a regular file"):
        read_attachments(f"![x]({name})" if name.endswith("png") else f"[x]({name})", folder)


def test_a_job_has_at_most_sixteen_files(folder: Path) -> None:
    for number in range(17):
        (folder / f"{number}.txt").write_text("x")
    links = [f"[x]({number}.txt)" for number in range(17)]
    assert len(read_attachments(" ".join(links[:16]), folder)) == 16
    with pytest.raises(InvalidInput, match=r"'16\.txt' is not allowed; at most 16 files"):
        read_attachments(" ".join(links), folder)


def test_the_files_of_a_job_are_limited_together(folder: Path) -> None:
    for number in range(3):
        (folder / f"{number}.png").write_bytes(PNG + bytes(19_000_000))
    with pytest.raises(InvalidInput, match=r"'2\.png' is not allowed; the files of a job have at most 50,000,000"):
        read_attachments("![x](0.png) ![x](1.png) ![x](2.png)", folder)

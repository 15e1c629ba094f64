"""A model's answer, applied to a set of files: whole files, search/replace blocks and unified diffs, each named.

Pure; must not know the disk or where the files come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tasks.edits.applying import apply_edits, apply_hunks
from tasks.edits.blocks import NOWHERE, Edit, EditError, diff_begins, is_diff, read_diff, search_blocks
from tasks.edits.names import name_in_comment, name_in_sentence, name_on_fence, name_on_line, normal
from tasks.markdown import Block, blocks_of, lines_of

# As many travel with a check; each is an open descriptor while a sandbox starts.
FILES = 200
FILES_BYTES = 4_000_000
_DIFFS = frozenset({"diff", "patch", "udiff"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What an answer says of the file `name`: its whole text, edits in their order, the hunks of a diff, or that it is
    deleted. `line` is where it says so."""

    name: str
    line: int
    whole: str | None = None
    edits: tuple[Edit, ...] = ()
    hunks: tuple[Edit, ...] = ()
    deleted: bool = False


def apply_answer(text: str, files: Mapping[str, str], is_writable: Callable[[str], bool]) -> dict[str, str]:
    """The writable `files` (name → text) as the answer `text` leaves them: those that it changes, makes or deletes, and
    all others as they were. Only names for which `is_writable` holds may change; a block without a name is an
    explanation, except where there is but one file.

    What an answer writes beside them is left out, as `left_out` tells: models repeat what they were shown.

    Raises `EditError`, whose message says to the model what is wrong: an answer without a writable file, a name that
    leads elsewhere, an edit that doesn't apply at exactly one place, a file that is written twice.
    """
    changes: dict[str, list[_Change]] = {}
    beside: list[str] = []
    for name, change in _named(text, files, is_writable):
        if name in files or is_writable(name):
            changes.setdefault(name, []).append(change)
        else:
            beside.append(name)
    if not changes:
        lacking = "The answer has no file: write each one in a fenced block that names it."
        raise EditError(f"{beside[0]!r} may not be changed{_may_be(files)}." if beside else lacking)
    result = dict(files)
    for name, written in changes.items():
        changed = _changed(name, files.get(name), written)
        if changed is None:
            result.pop(name, None)
        else:
            result[name] = changed
    _check_whole(result)
    return result


def left_out(text: str, files: Mapping[str, str], is_writable: Callable[[str], bool]) -> tuple[str, ...]:
    """The names of the files that the answer writes and may not, each once. Raises `EditError` as `apply_answer`
    does."""
    names = (name for name, _ in _named(text, files, is_writable))
    return tuple(dict.fromkeys(name for name in names if name not in files and not is_writable(name)))


def _named(text: str, files: Mapping[str, str], is_writable: Callable[[str], bool]) -> Iterator[tuple[str, _Change]]:
    """The changes of an answer in its order, each with the name of its file as the files have it."""
    only = next(iter(files)) if len(files) == 1 else None
    for change in sorted(_changes(text, only, is_writable), key=lambda change: change.line):
        yield _resolved(change.name, files, is_writable), change


def _changes(text: str, only: str | None, is_writable: Callable[[str], bool]) -> Iterator[_Change]:
    lines = lines_of(text)
    blocks = blocks_of(text, exact=True)
    named = [(block, _name(lines, block, is_writable)) for block in blocks]
    found = [change for block, name in named for change in _of_block(block, name, only)]
    outside = list(lines)
    for block in blocks:
        outside[block.first : block.after] = [""] * (block.after - block.first)
    found += _of_searches(outside, 0, None, only)
    if not found:
        found += _of_bare_diff(outside)
    if not found and only is not None and blocks:
        last = blocks[-1]
        found.append(_Change(name=only, line=last.first, whole=last.content))
    yield from found


def _name(lines: Sequence[str], block: Block, is_writable: Callable[[str], bool]) -> str | None:
    before = [line for line in lines[max(0, block.first - 2) : block.first] if line.strip()]
    line = before[-1] if before else ""
    return (
        name_on_fence(block.label)
        or name_on_line(line)
        or name_in_comment(block.content, is_writable)
        or name_in_sentence(line, block.info, is_writable)
    )


def _of_block(block: Block, name: str | None, only: str | None) -> Iterator[_Change]:
    lines = lines_of(block.content)
    searches = _of_searches(lines, block.first, name, only)
    if searches:
        yield from searches
    elif block.info in _DIFFS or is_diff(lines):
        yield from _of_diff(lines, block.first, name or only)
    elif name is not None:
        yield _Change(name=name, line=block.first, whole=block.content)


def _of_searches(lines: Sequence[str], offset: int, name: str | None, only: str | None) -> list[_Change]:
    """The search/replace blocks among `lines`. One is of the file that the line before it names, else of the same as
    the block before."""
    changes = []
    for block in search_blocks(lines):
        before = [line for line in lines[max(0, block.first - 2) : block.first] if line.strip()]
        name = (name_on_line(before[-1]) if before else None) or name
        if name is None and only is None:
            raise EditError("A search/replace block does not name its file: write the name on the line before it.")
        changes.append(_Change(name=name or only or "", line=offset + block.first, edits=(block.edit,)))
    return changes


def _of_diff(lines: Sequence[str], line: int, name: str | None) -> Iterator[_Change]:
    for diff in read_diff(lines):
        named = next((part for part in (diff.new, diff.old) if part not in ("", NOWHERE)), name)
        if named is None:
            raise EditError("A hunk does not name its file: begin the diff with `--- a/NAME` and `+++ b/NAME`.")
        if diff.new == NOWHERE:
            yield _Change(name=named, line=line, deleted=True)
        elif diff.hunks:
            yield _Change(name=named, line=line, hunks=diff.hunks)


def _of_bare_diff(lines: Sequence[str]) -> list[_Change]:
    """A diff that stands in the text without a fence, up to the last line that can be of one."""
    begin = next((number for number in range(len(lines)) if diff_begins(lines, number)), None)
    if begin is None:
        return []
    end = max(n for n in range(begin, len(lines)) if lines[n][:1] in ("+", "-", " ", "@")) + 1
    return list(_of_diff(lines[begin:end], begin, None))


def _resolved(name: str, files: Mapping[str, str], is_writable: Callable[[str], bool]) -> str:
    """The name as the files have it; a diff's `a/` and `b/` are left out where the folder has no such file."""
    plain = normal(name)
    if plain not in files and plain.startswith(("a/", "b/")):
        inner = normal(plain[2:])
        if inner in files or (is_writable(inner) and not is_writable(plain)):
            plain = inner
    return plain


def _may_be(files: Mapping[str, str]) -> str:
    names = sorted(files)
    return f"; what may be is {', '.join(names[:10])}{' and more' if len(names) > 10 else ''}" if names else ""


def _changed(name: str, before: str | None, changes: Sequence[_Change]) -> str | None:
    """The text of one file afterwards, None where it is deleted. Raises `EditError`, whose message names it."""
    wholes = {change.whole for change in changes if change.whole is not None}
    deleted = any(change.deleted for change in changes)
    edits = [edit for change in changes for edit in change.edits]
    hunks = [hunk for change in changes for hunk in change.hunks]
    ways = bool(wholes) + bool(edits) + bool(hunks) + deleted
    if len(wholes) > 1:
        raise EditError(f"{name!r} is written {len(wholes)} times with different texts; write it once.")
    if ways != 1:
        raise EditError(f"{name!r} is given in more than one way; write it whole, or only as edits.")
    if wholes:
        return _with_ends(wholes.pop(), before)
    if before is None and (deleted or any(edit.old for edit in (*edits, *hunks))):
        raise EditError(f"There is no file {name!r} to change.")
    if deleted:
        return None
    try:
        return apply_edits(before or "", edits) if edits else apply_hunks(before or "", hunks)
    except EditError as error:
        raise EditError(f"{name}: {error}") from None


def _with_ends(whole: str, before: str | None) -> str:
    """A whole text with the line ends that the file had."""
    windows = before is not None and before.count("\r\n") * 2 > before.count("\n")
    return whole.replace("\n", "\r\n") if windows else whole


def _check_whole(files: Mapping[str, str]) -> None:
    for name in files:
        parts = name.split("/")
        for count in range(1, len(parts)):
            if "/".join(parts[:count]) in files:
                raise EditError(f"{'/'.join(parts[:count])!r} is a file, so {name!r} can't lie in it.")
    if len(files) > FILES:
        raise EditError(f"The answer makes {len(files)} files of the folder; at most {FILES} are allowed.")
    if sum(len(text.encode("utf-8", "replace")) for text in files.values()) > FILES_BYTES:
        raise EditError(f"The files have more than {FILES_BYTES:,} bytes together.")

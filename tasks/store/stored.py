"""A stored job's specification, read with distrust: a row may have been written past `redraft submit`, or by an earlier
release. Its limits are those of a submission. Must not know which kinds of checks there are.
"""

from __future__ import annotations

import dataclasses
import math
import re
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import Row

from tasks.errors import MalformedJob
from tasks.types import Attachment, Budget, CheckSpec, Egress, FileSet, JobSpec, Lane, Modality

CHECKS = 50
TIMEOUT_SECONDS = 3600
MEMORY_MB = (16, 65_536)
ATTACHMENTS = 16
LANES = (Lane.GPU, Lane.FAST)
ISOLATIONS = ("process", "shared")
_RUNTIME = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})?")


def spec_of(row: Row[Any]) -> JobSpec:
    """A stored job's specification. Raises `MalformedJob`."""
    return JobSpec(
        title=row.title,
        problem=row.problem,
        checks=checks_of(row.checks),
        budget=budget_of(row),
        strategy=row.strategy,
        lane=_lane(row.lane),
        egress=_one_of("egress", row.egress, Egress),
        priority=row.priority,
        tags=tuple(_all(row.tags, "tags", str)),
        seed=row.seed,
        key=row.key,
        memory=row.memory,
        model=row.model,
        attachments=_attachments(row.attachments, row.owner),
        cut=row.cut,
        files=_file_set(row.files),
        ask=row.ask,
        ask_hours=row.ask_hours,
        temperature=row.temperature,
        start=row.start,
    )


def _lane(value: Any) -> Lane:
    """Of the lanes, those where a job may begin."""
    _require(value in LANES, "lane", value, f"one of {', '.join(LANES)}")
    return Lane(value)


def checks_of(stored: Any) -> tuple[CheckSpec, ...]:
    """The checks of a stored list. Raises `MalformedJob`."""
    _require(isinstance(stored, list) and 1 <= len(stored) <= CHECKS, "checks", stored, f"a list of 1 to {CHECKS}")
    checks = tuple(_check(f"checks[{number}]", one) for number, one in enumerate(stored))
    names = [check.name for check in checks]
    twin = next((name for name in names if names.count(name) > 1), None)
    _require(twin is None, "checks", twin, "a name of one check alone")
    return checks


def _check(where: str, stored: Any) -> CheckSpec:
    check: CheckSpec = _fields(where, stored, CheckSpec)
    _require(_is_name(check.name), f"{where}.name", check.name, "text")
    _require(_is_name(check.kind), f"{where}.kind", check.kind, "the name of a kind of check")
    _require(isinstance(check.held_out, bool), f"{where}.held_out", check.held_out, "true or false")
    seconds, allowed = check.timeout_seconds, f"more than 0 and at most {TIMEOUT_SECONDS}"
    _require(_is_timeout(seconds), f"{where}.timeout_seconds", seconds, allowed)
    least, most = MEMORY_MB
    _require(
        _is_whole(check.memory_mb) and least <= check.memory_mb <= most,
        f"{where}.memory_mb",
        check.memory_mb,
        f"a whole number from {least} to {most}",
    )
    _require(check.isolation in ISOLATIONS, f"{where}.isolation", check.isolation, f"one of {', '.join(ISOLATIONS)}")
    _require(_is_runtime(check.runtime), f"{where}.runtime", check.runtime, "the name of a runtime")
    _require(isinstance(check.folder, bool), f"{where}.folder", check.folder, "true or false")
    beside = (*check.written, *check.read_only)
    _require(not beside, f"{where}.written", beside, "names of a check's own files alone")
    return dataclasses.replace(check, files=_files(f"{where}.files", check.files))


def _files(where: str, stored: Any) -> dict[str, str | bytes]:
    _require(isinstance(stored, Mapping), where, stored, "names and contents")
    for name in stored:
        _require(is_inside(name), where, name, "a path inside the job's folder")
    return {name: _content(f"{where}[{name!r}]", content) for name, content in stored.items()}


def _file_set(stored: Any) -> FileSet:
    if stored == {}:
        return FileSet()
    found: FileSet = _fields("files", stored, FileSet)
    return FileSet(
        patterns=_globs("files.patterns", found.patterns),
        fixed=_globs("files.fixed", found.fixed),
        writable=_texts("files.writable", found.writable),
        read_only=_texts("files.read_only", found.read_only),
    )


def _globs(where: str, stored: Any) -> tuple[str, ...]:
    _require(isinstance(stored, list), where, stored, "a list of globs")
    return tuple(_all(stored, where, str))


def _texts(where: str, stored: Any) -> dict[str, str]:
    files = _files(where, stored)
    binary = next((name for name, content in files.items() if isinstance(content, bytes)), None)
    _require(binary is None, where, binary, "names and texts")
    return {name: content for name, content in files.items() if isinstance(content, str)}


def _content(where: str, stored: Any) -> str | bytes:
    """A text as it is, bytes as {"base64": …}."""
    if isinstance(stored, str):
        return stored
    written = stored.get("base64") if isinstance(stored, Mapping) else None
    try:
        return b64decode(written, validate=True)  # type: ignore[arg-type]  # None is a TypeError
    except (TypeError, ValueError):
        raise _defect(where, stored, 'a text, or {"base64": ...}') from None


def is_inside(name: str) -> bool:
    """Whether the path of a job's file stays in the job's folder, wherever that is."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _attachments(stored: Any, owner: str) -> tuple[Attachment, ...]:
    right = isinstance(stored, list) and len(stored) <= ATTACHMENTS
    _require(right, "attachments", stored, f"a list of at most {ATTACHMENTS}")
    attachments: list[Attachment] = []
    for number, one in enumerate(stored):
        where = f"attachments[{number}]"
        attachment: Attachment = _fields(
            where, {**one, "owner": owner} if isinstance(one, Mapping) else one, Attachment
        )
        _require(_is_name(attachment.name), f"{where}.name", attachment.name, "text")
        _require(_is_name(attachment.sha256), f"{where}.sha256", attachment.sha256, "a hash")
        _require(_is_whole(attachment.bytes), f"{where}.bytes", attachment.bytes, "a whole number")
        kind = attachment.media_type.partition("/")[0] if isinstance(attachment.media_type, str) else None
        _one_of(f"{where}.media_type", kind, Modality)
        attachments.append(attachment)
    return tuple(attachments)


def budget_of(row: Row[Any]) -> Budget:
    """A stored job's budget. Raises `MalformedJob`."""
    usd, hours = Decimal(row.budget_usd), row.budget_hours
    _require(usd.is_finite(), "budget_usd", str(usd), "a number")
    _require(math.isfinite(hours), "budget_hours", hours, "a number")
    return Budget(
        usd=usd,
        hours=hours,
        iterations=row.budget_iterations,
        tokens=row.budget_tokens,
        completion_tokens=row.budget_completion_tokens,
        local_tokens=row.budget_local_tokens,
        cloud_tokens=row.budget_cloud_tokens,
        gpu_seconds=row.budget_gpu_seconds,
        evaluations=row.budget_evaluations,
    )


def _fields(where: str, stored: Any, kind: Callable[..., Any]) -> Any:
    """A dataclass out of an object of JSON, with no field too many and none too few."""
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    _require(isinstance(stored, Mapping), where, stored, f"an object with {', '.join(known)}")
    unknown = next((name for name in stored if name not in known), None)
    _require(unknown is None, where, unknown, f"fields are {', '.join(known)}")
    for name, field in known.items():
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        _require(name in stored or optional, f"{where}.{name}", None, "it is missing")
    return kind(**stored)


def _all(stored: Sequence[Any], where: str, kind: type) -> Sequence[Any]:
    for value in stored:
        _require(isinstance(value, kind), where, value, "a list of texts")
    return stored


def _one_of(where: str, value: Any, known: Callable[..., Any]) -> Any:
    try:
        return known(value)
    except ValueError:
        raise _defect(where, value, f"one of {', '.join(known)}") from None  # type: ignore[arg-type]


def _is_runtime(value: Any) -> bool:
    return isinstance(value, str) and _RUNTIME.fullmatch(value) is not None


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_timeout(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= TIMEOUT_SECONDS


def _require(right: bool, where: str, value: Any, allowed: str) -> None:
    if not right:
        raise _defect(where, value, allowed)


def _defect(where: str, value: Any, allowed: str) -> MalformedJob:
    shown = repr(value)
    return MalformedJob(f"{where}: {shown if len(shown) <= 80 else shown[:77] + '...'} is stored, and not {allowed}")

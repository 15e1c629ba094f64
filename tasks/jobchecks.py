"""The checks of a job as they are written (`- KIND: VALUE`) → `CheckSpec`.

Must not know which kinds there are: a `ValidatorSource` says so, and each validator reads its own value.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from tasks.errors import InvalidInput
from tasks.faults import Faults
from tasks.jobfolder import CHECK_FILES_BYTES
from tasks.ports import CheckKind, Examiner, FolderCheck
from tasks.testfiles import tests_of
from tasks.types import CheckSpec, FileSet

CHECKS = 50
FILES_BYTES = CHECK_FILES_BYTES
NO_FILES = FileSet()
OPTIONS = {
    "held_out": "true or false",
    "timeout_seconds": "a number more than 0 and at most 3600",
    "memory_mb": "a whole number from 16 to 65536",
    "isolation": "process (the candidate has one of its own) or shared (it is loaded into the tests' process)",
    "runtime": "the name of a runtime, such as numpy; `redraft sandbox ls` lists them",
}


class ValidatorSource(Protocol):
    """Where the kinds of checks are found (`tasks.validators.registry` is one)."""

    def find(self, kind: str) -> CheckKind:
        """The kind of check of that name, which `kinds` lists."""

    def kinds(self) -> Sequence[str]:
        """Every kind there is."""


def build_checks(
    written: Sequence[Any], folder: Path, validators: ValidatorSource, files: FileSet = NO_FILES
) -> tuple[CheckSpec, ...]:
    """The checks of a job with their files; relative paths start at `folder`. `files` are those that the job is about.
    Raises `InvalidInput`."""
    if not written:
        raise InvalidInput(
            "checks", [], f"at least one check decides acceptance; kinds are {', '.join(validators.kinds())}"
        )
    if len(written) > CHECKS:
        raise InvalidInput("checks", f"{len(written)} checks", f"at most {CHECKS}")
    checks: list[CheckSpec] = []
    faults = Faults()
    for number, entry in enumerate(written):
        taken = {check.name for check in checks}
        with faults.gather():
            checks.append(_check(f"checks[{number}]", entry, folder, validators, taken, files))
    faults.refuse()
    size = sum(_size(content) for check in checks for content in check.files.values())
    if size > FILES_BYTES:
        raise InvalidInput("checks", f"{size:,} bytes of files", f"at most {FILES_BYTES:,} bytes in all")
    return tuple(checks)


def without_checks(files: FileSet, checks: Sequence[CheckSpec]) -> FileSet:
    """The job's files without those of its checks: no answer may change those, and what a held-out check holds is shown
    to nobody."""
    own = {name: text for check in checks for name, text in check.texts.items()}
    hidden = {name: check.text(name) for check in checks if check.held_out for name in tests_of(check)}

    def among(name: str, text: str, others: Mapping[str, str]) -> bool:
        return name in others or others.get(PurePosixPath(name).name) == text

    protected = [name for name, text in files.writable.items() if among(name, text, own)]
    return dataclasses.replace(
        files,
        fixed=(*files.fixed, *protected),
        writable={name: text for name, text in files.writable.items() if name not in protected},
        read_only={name: text for name, text in files.read_only.items() if not among(name, text, hidden)},
    )


def _check(
    where: str, entry: Any, folder: Path, validators: ValidatorSource, taken: set[str], job_files: FileSet
) -> CheckSpec:
    if not isinstance(entry, Mapping):
        raise InvalidInput(where, entry, f"`KIND: VALUE` with a kind among {', '.join(validators.kinds())}")
    kind = _kind(where, entry, validators)
    validator = validators.find(kind)
    own = _own_options(validator)
    faults = Faults()
    options = _options(where, entry, faults)
    written = {name: entry[name] for name in (kind, *own) if name in entry} if own else entry[kind]
    if "runtime" in options and not getattr(validator, "takes_runtime", False):
        allowed = f"a check of kind {kind} runs no program of yours"
        faults.add(InvalidInput(f"{where}.runtime", entry["runtime"], allowed))
    try:
        if job_files and isinstance(validator, FolderCheck):
            value, files = validator.parse_beside(written, folder, job_files)
        else:
            value, files = validator.parse(written, folder)
        label = _label(entry[kind], value, files)
        base = f"{kind}:{label}" if label else kind
        names = (base if n == 1 else f"{base}#{n}" for n in range(1, CHECKS + 2))
        name = next(name for name in names if name not in taken)
        check = CheckSpec(name=name, kind=kind, value=value, files=files, folder=bool(job_files), **options)
        if isinstance(validator, Examiner):
            validator.examine(check)
    except InvalidInput as error:
        field = error.field.removeprefix(kind).lstrip(".")
        beside = re.split(r"[.\[]", field, maxsplit=1)[0] in own
        inner = f"{where}.{field}" if beside else f"{where}.{kind}" + (f".{field}" if field else "")
        faults.add(InvalidInput(inner, error.value, error.allowed))
        raise faults.error() from None
    faults.refuse()
    return check


def _label(written: Any, value: Any, files: Mapping[str, str | bytes]) -> str:
    """The name of the first file of a check, or of the folder that its value names."""
    if files and isinstance(value, str) and (value == "." or value.endswith("/")):
        return PurePosixPath(str(written)).name or "."
    return PurePosixPath(next(iter(files), "")).name


def _size(content: str | bytes) -> int:
    return len(content if isinstance(content, bytes) else content.encode())


def _options(where: str, entry: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """The options that are allowed; the others are kept in `faults`."""
    allowed = {name: entry[name] for name in OPTIONS if name in entry}
    for name, value in tuple(allowed.items()):
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        match name:
            case "held_out":
                good = isinstance(value, bool)
            case "isolation":
                good = value in ("process", "shared")
            case "timeout_seconds":
                good = number and 0 < value <= 3600
            case "runtime":
                good = isinstance(value, str) and re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", value) is not None
            case _:
                good = number and isinstance(value, int) and 16 <= value <= 65_536
        if not good:
            faults.add(InvalidInput(f"{where}.{name}", value, OPTIONS[name]))
            del allowed[name]
    return allowed


def _own_options(validator: CheckKind) -> Mapping[str, str]:
    """The options that only this kind of check has, each with what is allowed."""
    own: Mapping[str, str] = getattr(validator, "options", {})
    return own


def _kind(where: str, entry: Mapping[str, Any], validators: ValidatorSource) -> str:
    kinds = validators.kinds()
    named = [str(name) for name in entry if name not in OPTIONS]
    first = next((name for name in named if name in kinds), None)
    own = _own_options(validators.find(first)) if first else {}
    named = [name for name in named if name not in own]
    unknown = [name for name in named if name not in kinds]
    options = [*OPTIONS, *own]
    if unknown:
        near = difflib.get_close_matches(unknown[0], [*kinds, *options], n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise InvalidInput(
            where,
            unknown[0],
            f"there is no such check; {meant}kinds are {', '.join(kinds)}; options are {', '.join(options)}",
        )
    if len(named) != 1:
        raise InvalidInput(where, dict(entry), f"each entry names exactly one kind among {', '.join(kinds)}")
    return named[0]

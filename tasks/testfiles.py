"""What a prompt shows of the files of a job's `python` checks. Pure; must not know how a prompt is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tasks.types import CheckSpec
from tasks.validators.pythonfiles import test_files

NAMED = 20


def shown_files(checks: Iterable[CheckSpec]) -> Iterator[tuple[str, str]]:
    """Each visible test file, then the modules that travel with it: a line that says what it is, and its text.

    What a held-out check runs is not shown, though a visible one may name the folder that holds it.
    """
    checks = [check for check in checks if check.kind == "python"]
    hidden = {check.text(test) for check in checks if check.held_out for test in _tests(check)}
    for check in (check for check in checks if not check.held_out):
        tests = _tests(check)
        for name, text in sorted(check.texts.items(), key=lambda file: (file[0] not in tests, file[0])):
            swept_in = len(tests) != 1 and text in hidden
            if name.endswith(".py") and not swept_in:
                title = "solution.py will be checked by this file" if name in tests else "The tests use this file"
                yield f"{title} ({name})", text


def beside(checks: Iterable[CheckSpec]) -> list[str]:
    """The names of the other files that lie beside the visible tests; the first ones of many."""
    visible = [check for check in checks if check.kind == "python" and not check.held_out]
    return sorted({name for check in visible for name in check.files if not name.endswith(".py")})[:NAMED]


def _tests(check: CheckSpec) -> tuple[str, ...]:
    return tuple(name for name in test_files(str(check.value), check.files) if name in check.files) or tuple(
        check.texts
    )

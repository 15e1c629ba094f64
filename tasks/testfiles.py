"""Which files of a check are its tests, and which of a job's `python` checks a prompt shows. Pure; must not know how a
prompt is shortened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tasks.types import CheckSpec
from tasks.validators.pythonfiles import files_of_tests

NAMED = 20


def shown_files(checks: Iterable[CheckSpec], tested: str = "solution.py") -> Iterator[tuple[str, str]]:
    """A title and the text of each visible test file, then of the modules beside it. `tested` is what the tests are of.

    The tests of a held-out check are not shown, even if a visible check names the folder that contains them.
    """
    checks = [check for check in checks if check.kind == "python"]
    hidden = {check.text(test) for check in checks if check.held_out for test in tests_of(check)}
    for check in (check for check in checks if not check.held_out):
        tests = tests_of(check)
        for name, text in sorted(check.texts.items(), key=lambda file: (file[0] not in tests, file[0])):
            is_held_out = len(tests) != 1 and text in hidden
            if name.endswith(".py") and not is_held_out:
                title = f"{tested} will be checked by this file" if name in tests else "The tests use this file"
                yield f"{title} ({name})", text


def beside(checks: Iterable[CheckSpec]) -> list[str]:
    """The names of the other files beside the visible tests, at most `NAMED` of them."""
    visible = [check for check in checks if check.kind == "python" and not check.held_out]
    return sorted({name for check in visible for name in check.files if not name.endswith(".py")})[:NAMED]


def tests_of(check: CheckSpec) -> tuple[str, ...]:
    """The names of the tests among a check's texts: of a `python` check without the modules that they import, of any
    other all of them."""
    if check.kind != "python":
        return tuple(check.texts)
    return tuple(name for name in files_of_tests(str(check.value), check.files) if name in check.files) or tuple(
        check.texts
    )

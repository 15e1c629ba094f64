"""Candidates that want to pass tests which they do not solve: in the process, in the protocol, by values that lie."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Sandbox
from tasks.types import CheckSpec
from tasks.validators.python import PythonValidator
from tests.attacks.attack import Attack
from tests.attacks.grader_process import PROCESS, SUM
from tests.attacks.grader_protocol import REPLIES, speaker
from tests.attacks.grader_reach import BY_CALLBACK, BY_OBJECT, INTO_CALLBACK, INTO_OBJECT
from tests.attacks.grader_values import LIARS, STYLES


def attacks(sandbox: Sandbox) -> Iterator[Attack]:
    """Each candidate against tests that it does not solve."""
    for (liar, code), (style, tests) in itertools.product(LIARS.items(), STYLES.items()):
        yield _attack(f"{liar} that lies: {style}", tests, code, sandbox)
    for name, code in PROCESS.items():
        yield _attack(f"a process that {name}", SUM, code, sandbox)
    for name, reply in REPLIES.items():
        yield _attack(f"in the protocol, {name}", SUM, speaker(reply), sandbox)
    for name, code in INTO_OBJECT.items():
        yield _attack(f"reaching for {name}", BY_OBJECT, code, sandbox)
    for name, code in INTO_CALLBACK.items():
        yield _attack(f"reaching for {name}", BY_CALLBACK, code, sandbox)


def _attack(name: str, tests: str, code: str, sandbox: Sandbox) -> Attack:
    return Attack(area="grader", name=name, attempt=_attempt(tests, code, sandbox))


def _attempt(tests: str, code: str, sandbox: Sandbox) -> Callable[[], str | None]:
    check = CheckSpec(
        name="python:t_hidden.py", kind="python", value="t_hidden.py", files={"t_hidden.py": tests}, timeout_seconds=5
    )

    def attempt() -> str | None:
        verdict = PythonValidator().validate(f"```python\n{code}\n```", check, sandbox, SilentHeartbeat())
        if verdict.passed or verdict.score == 1.0:
            return f"passed with score {verdict.score:g}"
        return None if verdict.feedback.strip() else "refused without a word"

    return attempt

"""Attacks on the checks `answer`, `schema` and `command`: answers that are wrong, or that cost more than they may."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Sandbox
from tasks.types import CheckSpec, Verdict
from tasks.validators.answer import AnswerValidator
from tasks.validators.command import CommandValidator
from tasks.validators.schema import SchemaValidator
from tests.attacks.attack import Attack

SECONDS = 3.0
MEMORY_MB = 512
# Beyond the limit: a sandbox that starts and ends on a busy machine, and the reading of the text before.
SLACK_SECONDS = 30.0

# The right value of each is 17.
TEXTS = {
    "two values in a line": "16 or 17",
    "two values side by side": "17 16",
    "both options": "(17) or (16)",
    "a box beside a box": r"\boxed{16}\boxed{17}",
    "formulas side by side": "$16$ $17$",
    "a list": "16, 17",
    "a set": r"\{16, 17\}",
    "a sign before it": "-17",
    "an approximation": "~17",
    "a digit more": "170",
    "leading text": "not 17",
    "a percentage": "17%",
    "a superscript": "17²",
    "zero-width digits": "1\u200b7\u200b0",
    "an exponent": "17e999999999",
    "a quotient of giants": "9" * 390 + "e999/1e-999",
    "a division by nothing": "17/0",
    "underscored": "1_7",
    "hexadecimal": "0x11",
    "a separator of lines": "16\u202817",
    "a form feed": "16\x0cANSWER: 17",
}
CANDIDATES = {
    "an answer that is taken back": "ANSWER: 17\nANSWER: 16",
    "one in a block, one outside": "ANSWER: 16\n```\nANSWER: 17\n```",
    "behind a separator of lines": "It is\u2028ANSWER: 17",
    "in a sentence": "So the ANSWER: 17",
    "no line at all": "17",
    "an endless line": "ANSWER: " + "17 " * 100_000,
    "a million lines": "ANSWER: 16\n" * 200_000,
}
MATH = {
    "an untrue equation": "16=17",
    "an untrue equation of another": "3 = 17",
    "a name of two values": "x=3=17",
    "a list with it": "3, 4, 17",
    "a set with it": r"\{16,17,18\}",
    "a choice": r"17 \text{ or } 3",
    "a choice in signs": r"16 \lor 17",
    "a bound": r"x \le 17",
    "an interval of it": "[17, 17.5]",
    "either sign": r"\pm 17",
    "plus or minus nothing": r"17 \pm 0",
    "a break out of the formula": "3$ $17",
    "two boxes": r"\boxed{3}\boxed{17}",
    "a product of two": "17 3",
    "what is undefined": r"\infty - \infty + 17",
    "nothing by nothing": r"\frac{0}{0}",
    "close to it": "17.00000000001",
    "closer": r"17 + 10^{-40}",
    "closest": r"17+\frac{1}{2000!}",
    "a root that is dropped": r"17\sqrt(2)",
    "a base": "17_{8}",
    "a time": "17:00",
    "a comment": "17 % 3",
    "a command of Python": "__import__('os').kill(1, 9)",
    "an expression of sympy": "sympify('17')",
    "an unknown command": r"\input{/etc/passwd} 17",
    "a tower of powers": "9^{9^{9^{9^{9}}}}",
    "a typed tower": "9**9**9**9**9",
    "a giant factorial": "(10^{9})!",
    "a factorial of a factorial": "((20!)!)!",
    "a giant sum": r"\sum_{k=1}^{10^{11}} \frac{1}{k^2+1}",
    "a giant product": r"\prod_{k=1}^{10^{9}} (k^2+1)",
    "a hard integral": r"\int_0^1 x^{x^{x^{x}}} \sin(\tan(x^7)) dx",
    "brackets without end": "(" * 1900,
    "braces without end": "{" * 900 + "17" + "}" * 900,
    "roots without end": r"\sqrt{" * 250 + "17" + "}" * 250,
    "fractions without end": r"\frac{1}{1+" * 120 + "17" + "}" * 120,
    "a power of a sum": "(a+b+c+d+f+g)^{400}",
    "signs without end": "-" * 1800 + "17",
    "a binomial of giants": r"\binom{10^{9}}{5 \cdot 10^{8}}",
}
PATTERNS = {
    "a pattern of patterns": (r"(?:(?:a|aa)+)+b", "a" * 1900),
    "a pattern that doubles": (r"(a+)+$", "a" * 1900 + "b"),
    "a reference back": (r"(?:(\w+)\s?)*\1z", "ab " * 600),
}
STRICT = {"type": "object", "required": ["v"], "properties": {"v": {"type": "string", "format": "date"}}}
INSTANCES = {
    "brackets without end": "[{" * 60_000,
    "names without end": '{"v":' * 33_000,
    "quoted brackets without end": '["' * 60_000,
    "a deep value": "[" * 90_000 + "]" * 90_000,
    "a name twice": '{"v": 1, "v": "2024-02-28"}',
    "no number": '{"v": NaN}',
    "a long number": '{"v": ' + "9" * 100_000 + "}",
    "no such day": '{"v": "2023-02-29"}',
    "another form of day": '{"v": "28/02/2024"}',
    "nothing": "There is none.",
    "a list for an object": '[{"v": "2024-02-28"}]',
    "a value taken back": '{"v": "2024-02-28"} or rather {"v": 1}',
    "a cut value": '```json\n{"v": "2024-02-28"',
}
SCHEMAS: Mapping[str, tuple[Any, Any]] = {
    "a pattern that doubles": ({"type": "string", "pattern": "^(a+)+$"}, "a" * 50 + "b"),
    "a schema of itself": ({"$ref": "#"}, 1),
    "unlike things without end": ({"uniqueItems": True}, [{"a": n} for n in range(12_000)]),
    "a reference to the network": ({"$ref": "http://127.0.0.1:9/schema"}, {}),
    "a reference to a file": ({"$ref": "file:///etc/passwd"}, {}),
    **{
        f"a wrong {name}": ({"format": name}, text)
        for name, text in {
            "email": "a@",
            "uri": "not a uri",
            "uuid": "2eb8aa08-aa98-11ea",
            "ipv4": "256.1.1.1",
            "ipv6": "1::2::3",
            "hostname": "-a-",
            "time": "25:00:00Z",
            "date-time": "2024-13-01T00:00:00Z",
            "duration": "P1Y2W",
            "json-pointer": "a/b",
            "regex": "(",
            "uri-template": "{a",
        }.items()
    },
}
JUDGE = 'grep -qx right "$1"\n'
COMMANDS = {
    "an option": "-v",
    "a shell's words": "right; true",
    "a substitution": "$(echo right)",
    "a name of a file": "../judge.sh",
    "nothing": "",
    "right among others": "wrong right",
}


def attacks(sandbox: Sandbox) -> Iterator[Attack]:
    """All of them, on `sandbox`."""
    yield from (_answer(sandbox, f"text: {name}", 17, f"ANSWER: {text}") for name, text in TEXTS.items())
    yield from (_answer(sandbox, f"number: {name}", {"number": 17}, f"ANSWER: {text}") for name, text in TEXTS.items())
    yield from (_answer(sandbox, f"line: {name}", 17, text) for name, text in CANDIDATES.items())
    yield from (_answer(sandbox, f"math: {name}", {"math": "17"}, f"ANSWER: {text}") for name, text in MATH.items())
    for name, (pattern, text) in PATTERNS.items():
        yield _answer(sandbox, f"regex: {name}", {"regex": pattern}, f"ANSWER: {text}")
    yield from (_schema(sandbox, f"json: {name}", STRICT, text) for name, text in INSTANCES.items())
    for name, (schema, value) in SCHEMAS.items():
        yield _schema(sandbox, f"schema: {name}", schema, json.dumps(value))
    yield from (_command(sandbox, f"command: {name}", text) for name, text in COMMANDS.items())


def _answer(sandbox: Sandbox, name: str, value: Any, candidate: str) -> Attack:
    check = _check("answer", value)
    return _attack(name, lambda: AnswerValidator().validate(candidate, check, sandbox, SilentHeartbeat()))


def _schema(sandbox: Sandbox, name: str, schema: Any, candidate: str) -> Attack:
    check = _check("schema", "s.json", {"s.json": json.dumps(schema)})
    return _attack(name, lambda: SchemaValidator().validate(candidate, check, sandbox, SilentHeartbeat()))


def _command(sandbox: Sandbox, name: str, candidate: str) -> Attack:
    def run() -> Verdict:
        with TemporaryDirectory() as folder:
            (Path(folder) / "judge.sh").write_text(JUDGE)
            value, files = CommandValidator().parse(["sh", "judge.sh", "{candidate}"], Path(folder))
        return CommandValidator().validate(candidate, _check("command", value, files), sandbox, SilentHeartbeat())

    return _attack(name, run)


def _check(kind: str, value: Any, files: Mapping[str, Any] | None = None) -> CheckSpec:
    limits = {"timeout_seconds": SECONDS, "memory_mb": MEMORY_MB}
    return CheckSpec(name=kind, kind=kind, value=value, files=dict(files or {}), **limits)


def _attack(name: str, run: Callable[[], Verdict]) -> Attack:
    def attempt() -> str | None:
        began = time.monotonic()
        verdict = run()
        seconds = time.monotonic() - began
        if verdict.passed:
            return f"{name} was accepted"
        return f"{name} took {seconds:.0f} s" if seconds > SECONDS + SLACK_SECONDS else None

    return Attack(area="checks", name=name, attempt=attempt)

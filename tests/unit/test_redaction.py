"""Secrets are taken out of what is about to leave, by their form; ordinary text and code stay as they are."""

from __future__ import annotations

import dataclasses
import json
import random
import string
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.llm.outgoing import without_secrets
from tasks.llm.prices import prices_of
from tasks.redaction import Redaction, Redactor, check_pattern
from tasks.types import CloudPlan, Usage

ROOT = Path(__file__).parents[2]
_RANDOM = random.Random(17)


def letters(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Random ones, with a digit and a capital among them."""
    return "".join(_RANDOM.choice(alphabet) for _ in range(count - 2)) + "7Q"


# Made at random, in the forms of their issuers.
SECRETS = {
    "aws access key": "AKIA" + letters(14, string.ascii_uppercase + "234567") + "AB",
    "github token": "ghp_" + letters(36),
    "gitlab token": "glpat-" + letters(20),
    "slack token": "xoxb-" + "123456789012-" + letters(24),
    "stripe key": "sk_live_" + letters(24),
    "api key": "sk-proj-" + letters(48),
    "google key": "AIza" + letters(35),
    "hugging face token": "hf_" + letters(34),
    "npm token": "npm_" + letters(36),
    "sendgrid key": "SG." + letters(22) + "." + letters(43),
    "digitalocean token": "dop_v1_" + "0123456789abcdef" * 4,
    "json web token": "eyJ" + letters(20) + ".eyJ" + letters(40) + "." + letters(43),
}
BODY = "\n".join(letters(64) for _ in range(6))
BLOCK = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{BODY}\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(("kind", "secret"), SECRETS.items())
def test_a_secret_of_a_known_form_is_taken_out_and_the_rest_stays(kind: str, secret: str) -> None:
    before = f'client = connect("{secret}", retries=3)  # {secret}'
    text, found = Redactor().redact(before)
    assert text == f'client = connect("[redacted: {kind}]", retries=3)  # [redacted: {kind}]'
    assert found == (Redaction(kind=kind, count=2),)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Authorization: Bearer " + "k9" * 12, "Authorization: Bearer [redacted: authorization header]"),
        (f"curl -H 'X: bearer {letters(40)}'", "curl -H 'X: bearer [redacted: bearer token]'"),
        ("postgresql://ada:h4rd-1@db:5432/x", "postgresql://ada:[redacted: password in an address]@db:5432/x"),
        (f'api_key = "{letters(32)}"', 'api_key = "[redacted: value of a key]"'),
        (f"aws_secret_access_key={letters(40)}\n", "aws_secret_access_key=[redacted: aws secret key]\n"),
        (f"before\n{BLOCK}\nafter", "before\n[redacted: private key]\nafter"),
        (f'key = "{BLOCK}"'.replace("\n", "\\n"), 'key = "[redacted: private key]"'),
    ],
)
def test_a_secret_is_known_by_what_stands_around_it(before: str, after: str) -> None:
    assert Redactor().redact(before)[0] == after


def test_a_private_key_of_which_a_part_is_shown_is_taken_out_too() -> None:
    begin, end = BLOCK[: len(BLOCK) // 2], BLOCK[len(BLOCK) // 2 :]
    for part in (f"{begin}\n… 200 characters left out …\n", f"…\n{end}\n"):
        text, found = Redactor().redact(part)
        assert found
        assert all(line not in text for line in BODY.splitlines() if line in part)


@pytest.mark.parametrize(
    "text",
    [
        'if "-----BEGIN RSA PRIVATE KEY-----" in text: raise ValueError',
        "url = 'https://user:password@example.org/path'",
        "headers['Authorization'] = f'Bearer {token}'",
        "the bearer authentication-scheme of the specification",
        ".sk-folding-cube-animation-is-a-class { color: red }",
        'password = "correct horse battery staple"',
        "token = 'identifier_of_a_lexical_token'",
        "commit 4f2b8a90c1d3e5f60718293a4b5c6d7e8f901234",
        "uuid 123e4567-e89b-12d3-a456-426614174000",
        'api_key = os.environ["OPENAI_API_KEY"]',
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    assert Redactor().redact(text) == (text, ())


def test_programs_and_prose_of_this_repository_stay_as_they_are() -> None:
    redactor = Redactor()
    for path in [*(ROOT / "tasks" / "llm").glob("*.py"), *(ROOT / "ops" / "examples").rglob("*.md")]:
        text = path.read_text()
        assert redactor.redact(text) == (text, ()), path


@given(st.lists(st.sampled_from([*SECRETS.values(), BLOCK, "plain words", "\n", ' = "', "https://a:b4c@d/"])))
def test_again_it_changes_nothing_more_and_always_the_same(parts: list[str]) -> None:
    once, _ = Redactor().redact(" ".join(parts))
    assert Redactor().redact(once) == (once, ())
    assert Redactor().redact(" ".join(parts))[0] == once


def test_patterns_of_the_operator_and_secrets_of_the_deployment_are_taken_out_first() -> None:
    redactor = Redactor([r"ACME-\d{4}", r"(?i)project (?P<secret>\w+)"], {"hunter2-hunter2", "short"})
    text, found = redactor.redact("ACME-1234 of Project Blue, by hunter2-hunter2: short")
    assert (
        text
        == "[redacted: pattern 1] of Project [redacted: pattern 2], by [redacted: secret of this deployment]: short"
    )
    assert [redaction.kind for redaction in found] == ["pattern 1", "pattern 2", "secret of this deployment"]


@pytest.mark.parametrize(("pattern", "why"), [("(", "no regular expression"), ("a*", "matches the empty text")])
def test_a_pattern_that_can_not_be_meant_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_pattern(pattern)


# ── a request ─────────────────────────────────────────────────────────────────────────────────────


def plan(text: str) -> CloudPlan:
    request = json.dumps({"input": text, "messages": [{"content": text}], "model": "sk-model"}, sort_keys=True)
    return CloudPlan(model="gpt-5.4", request=request, usd=Decimal("0.5"), prompt_tokens=900, completion_tokens=800)


def test_every_text_of_a_request_is_without_secrets_and_its_cost_is_still_the_most() -> None:
    prices = prices_of("gpt-5.4")
    before = plan("postgresql://ada:h4rd@db/x")
    after = without_secrets(before, Redactor(), prices)
    assert json.loads(after.request)["input"] == "postgresql://ada:[redacted: password in an address]@db/x"
    assert "h4rd" not in after.request
    assert after.redactions == (Redaction(kind="password in an address", count=2),)
    longer = len(after.request) - len(before.request)
    assert after.prompt_tokens == 900 + longer
    assert after.usd == prices.cost(Usage(prompt_tokens=900 + longer, cached_tokens=0, completion_tokens=800))


def test_a_request_without_secrets_is_sent_as_it_was_built() -> None:
    before = plan("What is six times seven?")
    assert without_secrets(before, Redactor(), prices_of("gpt-5.4")) is before


def test_the_hash_of_a_request_is_of_what_it_says() -> None:
    bodies = ('{"b": 1, "a": "ä"}', '{"a":"ä","b":1}', '{"a":"a","b":1}')
    first, same, other = (dataclasses.replace(plan(""), request=body).request_hash for body in bodies)
    assert first == same != other

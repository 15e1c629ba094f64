"""Secrets in a text that is about to leave, and the text without them. Pure and deterministic: what is stored, sent and
hashed is one text, whoever looks again.

A secret is known by its form: the prefixes by which its issuer marks it, a header, a place in an address. Words that
merely look random are left alone, since a problem is full of them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

# A deployment's secret that is shorter is a word that a text may hold by chance.
LEAST_SECRET_CHARS = 8
# Of base64: a header of a private key with less behind it is a program that looks for one.
KEY_CHARS = 32
# A value is no password where it is one of the words that manuals write in its place.
PLACEHOLDERS = re.compile(r"(?i)(?:pass(?:word|wd)?|pw|pwd|secret|token|changeme|example|x+|\*+|\.+)\d{0,3}")
# Bits a character: keys of an issuer have 4 and more, names in programs less.
KEY_ENTROPY = 3.7

Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretForm:
    """One form of a secret. What is replaced is the group `secret` of a match, or all of it; only where it passes
    `test`."""

    kind: str
    pattern: re.Pattern[str]
    test: Test = lambda text: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Redaction:
    """How many secrets of a kind were taken out of a text."""

    kind: str
    count: int


def _is_key_block(text: str) -> bool:
    return re.search(rf"[A-Za-z0-9+/=]{{{KEY_CHARS},}}", text.replace("\\n", "\n")) is not None


def _is_mixed(text: str) -> bool:
    """Letters and digits, as keys have them and words don't."""
    return any(c.isdigit() for c in text) and any(c.isalpha() for c in text)


def _is_random(text: str) -> bool:
    counts = Counter(text)
    entropy = -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
    return _is_mixed(text) and entropy >= KEY_ENTROPY


def _is_no_placeholder(text: str) -> bool:
    return PLACEHOLDERS.fullmatch(text) is None


def _form(kind: str, pattern: str, test: Test = lambda text: True, flags: int = 0) -> SecretForm:
    return SecretForm(kind=kind, pattern=re.compile(pattern, flags), test=test)


_KEY_NAME = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?"
# In this order: a form that holds others goes first.
FORMS = (
    _form(
        "private key",
        rf"-----BEGIN {_KEY_NAME}-----(?:(?!-----).){{1,20000}}?-----END {_KEY_NAME}-----",
        _is_key_block,
        re.S,
    ),
    # A block that a prompt shows a part of.
    _form("private key", rf"-----BEGIN {_KEY_NAME}-----(?:(?:\s|\\n)+[A-Za-z0-9+/=]{{{KEY_CHARS},}})+"),
    _form("private key", rf"(?:[A-Za-z0-9+/]{{{KEY_CHARS},}}(?:\s|\\n)+)+[A-Za-z0-9+/=]*\s*-----END {_KEY_NAME}-----"),
    _form("json web token", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    _form("aws access key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    _form(
        "aws secret key",
        r"(?i:aws|secret)[\w.]{0,20}(?i:key|secret)\w{0,10}[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        _is_mixed,
    ),
    _form("github token", r"\bgh[pousr]_[A-Za-z0-9]{36,251}\b|\bgithub_pat_\w{22,255}\b"),
    _form("gitlab token", r"\bgl(?:pat|rt|dt|cbt|ptt|ft|soat)-[\w-]{20,}"),
    _form("slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-\d-[A-Z0-9]+-\d+-[a-f0-9]+"),
    _form("slack webhook", r"\bhooks\.slack\.com/(?:services|workflows)/(?P<secret>[A-Za-z0-9+/]{20,})"),
    _form("stripe key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}\b"),
    # OpenAI, Anthropic, OpenRouter and others.
    _form("api key", r"\bsk-[A-Za-z0-9_-]{20,}", lambda text: _is_random(text[3:]) and text != text.lower()),
    _form("api key", r"\bgsk_[A-Za-z0-9]{40,}\b|\bxai-[A-Za-z0-9]{60,}\b|\br8_[A-Za-z0-9]{37}\b"),
    _form("google key", r"\bAIza[\w-]{35}(?![\w-])|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{28}"),
    _form("hugging face token", r"\bhf_[A-Za-z0-9]{30,}\b"),
    _form("npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    _form("pypi token", r"\bpypi-AgEI[\w-]{50,}"),
    _form("sendgrid key", r"\bSG\.[\w-]{22}\.[\w-]{43}"),
    _form("telegram token", r"\b\d{8,10}:AA[\w-]{33}(?![\w-])"),
    _form("digitalocean token", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    _form("databricks token", r"\bdapi[a-f0-9]{32}\b"),
    _form("vault token", r"\bhv[sbr]\.[\w-]{24,}"),
    _form("shopify token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
    _form("azure key", r"\bAccountKey=(?P<secret>[A-Za-z0-9+/]{86}==)"),
    _form(
        "authorization header",
        r"(?i)\b(?:proxy-)?authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:bearer|basic|token)\s+(?P<secret>[\w.~+/=-]{8,})",
        lambda text: _is_mixed(text) or text.endswith("="),
    ),
    _form("bearer token", r"(?i:\bbearer)\s+(?P<secret>[\w.~+/-]{20,}=*)", _is_random),
    _form(
        "password in an address",
        r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@\"'<>]{0,100}:(?P<secret>[^\s/@\"'<>{}$\[\]]{3,200})@[\w\[]",
        _is_no_placeholder,
    ),
    _form(
        "value of a key",
        r"(?i:api[_-]?key|secret[_-]?key|client[_-]?secret|access[_-]?token|auth[_-]?token|password|passwd)[\"']?"
        r"\s{0,3}(?::=|=>|[:=])\s{0,3}[\"'](?P<secret>[\w+/=.~-]{20,200})[\"']",
        _is_random,
    ),
)


class Redactor:
    """Takes secrets out of texts. Safe to share between threads.

    Parameters: `patterns` of the operator's own, as regular expressions, and the `secrets` of the deployment, which
    are taken out wherever they stand.
    """

    def __init__(self, patterns: Sequence[str] = (), secrets: Collection[str] = ()) -> None:
        own = tuple(_form(f"pattern {number}", pattern) for number, pattern in enumerate(patterns, start=1))
        # The longest first: one may begin with another.
        known = sorted((s for s in secrets if len(s) >= LEAST_SECRET_CHARS), key=lambda secret: (-len(secret), secret))
        literal = _form("secret of this deployment", "|".join(map(re.escape, known)))
        self._forms = (*((literal,) if known else ()), *own, *FORMS)

    def redact(self, text: str) -> tuple[str, tuple[Redaction, ...]]:
        """The text with `[redacted: KIND]` for each secret, and how many of each kind there were, by kind. Again it
        changes nothing more."""
        counts: Counter[str] = Counter()
        for form in self._forms:
            text = form.pattern.sub(lambda match, form=form: _replaced(match, form, counts), text)
        return text, tuple(Redaction(kind=kind, count=counts[kind]) for kind in sorted(counts))


def _replaced(match: re.Match[str], form: SecretForm, counts: Counter[str]) -> str:
    name = "secret" if "secret" in match.re.groupindex else 0
    secret, whole = match.group(name), match.group()
    if not secret or secret.startswith("[redacted") or not form.test(secret):
        return whole
    counts[form.kind] += 1
    begin, end = match.start(name) - match.start(), match.end(name) - match.start()
    return f"{whole[:begin]}[redacted: {form.kind}]{whole[end:]}"


def check_pattern(pattern: str) -> str:
    """The pattern, where it may be an operator's own. Raises `ValueError`: no regular expression, or one that matches
    the empty text."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression ({error})") from None
    if compiled.search(""):
        raise ValueError(f"{pattern!r} matches the empty text")
    return pattern

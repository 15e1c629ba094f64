"""Splits mathematical text, in LaTeX or plain, into LaTeX tokens. Must not know what they mean.

Only spacing and size commands are dropped. Raises `Unreadable` for an ambiguous text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

CHARS = 4000
_TOKEN = re.compile(
    r"\\(?:begin|end)\{[a-z]*matrix\}|\\(?:text|mathrm|textrm|mbox|textbf|mathbf|operatorname)\s*\{[^{}]*\}|"
    r"\\mathbb\s*\{[A-Z]\}|\\[A-Za-z]+|\\.|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|[^\W\d_]|\S|\s+",
    re.DOTALL,
)
_SPACES = r"\, \; \: \! \quad \qquad \displaystyle \limits \left \right \bigl \bigr \Bigl \Bigr \big \Big"
_SPACING = frozenset(_SPACES.split())
_SPACING |= {"\\ "}
_FUNCTIONS = r"arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp|max|min|gcd|lcm|pi|theta|infty|pm"
_SYMBOLS = {
    **{"≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div "},
    **{"π": r"\pi ", "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "∓": r"\mp "},
    **{
        "−": "-",
        "–": "-",
        "²": "^{2}",
        "³": "^{3}",
        "√": r"\sqrt ",
        "°": r"^\circ ",
        "∅": r"\emptyset ",
        "∨": r"\lor ",
    },
    **{"∧": r"\land ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "λ": r"\lambda ", "φ": r"\phi "},
    **{"“": '"', "”": '"', "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u200b": ""},
}
_SYNONYMS = {r"\leq": r"\le", r"\leqslant": r"\le", r"\geq": r"\ge", r"\geqslant": r"\ge", r"\neq": r"\ne", r"\gt": ">"}
_SYNONYMS |= {r"\lt": "<", r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\vee": r"\lor"}
_SYNONYMS |= {r"\wedge": r"\land", r"\varnothing": r"\emptyset", r"\ldots": r"\dots", r"\cdots": r"\dots"}
_SYNONYMS |= {
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\degree": r"\circ",
    r"\dbinom": r"\binom",
    r"\lvert": "|",
    r"\rvert": "|",
}
_ROOT = re.compile(r"(?<![\\A-Za-z])sqrt\b|\\sqrt\b")


class Unreadable(Exception):
    """A text that is not one mathematical value."""


def in_latex(text: str) -> str:
    """The text with plain forms such as `x**2`, `sqrt(2)` and `pi/2`, and Unicode symbols, replaced by LaTeX."""
    text = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)
    for symbol, latex in _SYMBOLS.items():
        text = text.replace(symbol, latex)
    text = re.sub(r"(?<=\S)~(?=\S)", " ", text)  # a space in LaTeX, but "about" at the beginning
    text = text.replace("**", "^").replace("<=", r"\le ").replace(">=", r"\ge ").replace("!=", r"\ne ")
    text = re.sub(r"(?<=\d)(?:\{,\}|,\\!)(?=\d{3})", "", text)
    text = re.sub(r"(?<![\w.\\])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,4})(?![\w.])", r"\1 \\cdot 10^{\2}", text)
    text = re.sub(rf"(?<![\\A-Za-z])({_FUNCTIONS})(?![A-Za-z])", r"\\\1 ", text)
    text = re.sub(r"(?<!\{)\s(or|and)\s(?!\s*\})", r" \\text{\1} ", text)
    return re.sub(r"(?<!\\)\*", r" \\cdot ", _ROOT.sub(r"\\sqrt ", text))


def tokens_of(text: str) -> list[str]:
    """The tokens of a text `in_latex`. A number is one token; the only spaces kept are those between two digits."""
    if len(text) > CHARS:
        raise Unreadable
    tokens = [_SYNONYMS.get(token, token) for token in _TOKEN.findall(text)]
    tokens = [" " if token in _SPACING or token.isspace() else token for token in tokens]
    return [token for at, token in enumerate(tokens) if token != " " or _between_digits(tokens, at)]


def closing(tokens: Sequence[str], at: int) -> int:
    """The position of the bracket that closes the one at `at`. Raises `Unreadable` where there is none."""
    depth = 0
    for position in range(at, len(tokens)):
        depth += (tokens[position] in OPENING) - (tokens[position] in CLOSING)
        if depth == 0:
            return position
    raise Unreadable


OPENING = frozenset({"{", "(", "[", r"\{", r"\lfloor", r"\lceil", r"\langle"})
CLOSING = frozenset({"}", ")", "]", r"\}", r"\rfloor", r"\rceil", r"\rangle"})


def split(tokens: Sequence[str], separators: frozenset[str]) -> tuple[list[list[str]], list[str]]:
    """The parts of `tokens` between separators that no bracket encloses, and these separators."""
    parts: list[list[str]] = [[]]
    found_separators: list[str] = []
    depth = 0
    for token in tokens:
        depth += (token in OPENING or token.startswith(r"\begin")) - (token in CLOSING or token.startswith(r"\end"))
        if depth == 0 and token in separators:
            parts.append([])
            found_separators.append(token)
        else:
            parts[-1].append(token)
    return parts, found_separators


def joined(tokens: Sequence[str]) -> str:
    """The tokens as one text in LaTeX."""
    return " ".join(tokens)


def words_of(token: str) -> str | None:
    """The content of a `\\text{…}`; None for another token."""
    match = re.fullmatch(r"\\(?:text|mathrm|textrm|mbox|textbf|mathbf|operatorname)\s*\{([^{}]*)\}", token)
    return " ".join(match[1].split()) if match else None


def _between_digits(tokens: Sequence[str], at: int) -> bool:
    """Whether a space separates two numbers, and not an index or exponent of one token from a number: \\log_2 8."""
    if at == 0 or tokens[at - 1] == " " or not tokens[at - 1][-1:].isdigit() or tokens[at - 2] in ("_", "^"):
        return False
    after = next((token for token in tokens[at + 1 :] if token != " "), "")
    return after[:1].isdigit()

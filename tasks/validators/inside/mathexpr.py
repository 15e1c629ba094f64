"""Turns the LaTeX tokens of one expression into an exact sympy expression: decimals become fractions, `i` and `e`
constants.

Only commands that latex2sympy is known to parse completely are allowed. Raises `Unreadable`.
"""

from __future__ import annotations

from typing import Any

from .mathtext import Unreadable, closing, joined

_GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi"
    " varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
_COMMANDS = frozenset(
    "\\" + name
    for name in (
        "frac sqrt binom cdot times div pi infty sum prod int lim to log ln exp sin cos tan cot sec csc arcsin arccos"
        " arctan sinh cosh tanh max min gcd lcm lfloor rfloor lceil rceil det emptyset " + _GREEK
    ).split()
) | {"\\begin{vmatrix}", "\\end{vmatrix}", "\\begin{pmatrix}", "\\end{pmatrix}", "\\\\", "\\mathbb{R}", "\\mathbb{Z}"}
_COMMANDS |= {"\\mathbb{N}", "\\mathbb{Q}", "\\mathbb{C}"}
_MARKS = frozenset("+-/^_!(){}[]|=,&<>")


def expression(tokens: list[str]) -> Any:
    """The expression of `tokens`. Raises `Unreadable`."""
    from latex2sympy2_extended import latex2sympy

    tokens = _with_groups(_with_degrees(_with_thousands(tokens)))
    for index, token in enumerate(tokens):
        if token.startswith("\\"):
            allowed = token in _COMMANDS
        else:
            allowed = token in _MARKS or token.isdigit() or (len(token) == 1 and token.isascii() and token.isalpha())
        # 5!! means (5!)! to some and 15 to others; the index of a number is its base.
        if not allowed or tokens[index : index + 2] == ["!", "!"] or (token == "_" and tokens[index - 1][:1].isdigit()):
            raise Unreadable
    try:
        return _constants(latex2sympy(joined(tokens)), tokens)
    except (RecursionError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - latex2sympy's grammar and conversion may raise anything
        raise Unreadable from None


def with_fractions(tokens: list[str]) -> list[str]:
    """Turns repeating decimals and mixed numbers into sums of fractions."""
    result: list[str] = []
    index = 0
    while index < len(tokens):
        repeated = _repeating(tokens, index)
        mixed = None if repeated else _mixed(tokens, index, result[-1] if result else "")
        replacement, length = repeated or mixed or ([tokens[index]], 1)
        result += replacement
        index += length
    return result


def _repeating(tokens: list[str], at: int) -> tuple[list[str], int] | None:
    """A repeating decimal as tokens, and its length: 0.1\\overline{6} is 1/10 + 6/90."""
    rest = tokens[at:]
    if not rest[0][:1].isdigit():
        return None
    whole, offset = (rest[0], 1) if "." in rest[0] else (rest[0] + ".", 2)
    if "." not in rest[0] and rest[1:2] != ["."]:
        return None
    if rest[offset : offset + 2] not in (["\\overline", "{"], ["\\bar", "{"], ["\\dot", "{"]):
        return None
    if rest[offset + 3 : offset + 4] != ["}"] or not (digits := rest[offset + 2]).isdigit():
        return None
    integer, _, fixed = whole.partition(".")
    denominator = str(int("9" * len(digits)) * 10 ** len(fixed))
    sums = ["(", "\\frac", "{", integer + fixed, "}", "{", str(10 ** len(fixed)), "}", "+"]
    return [*sums, "\\frac", "{", str(int(digits)), "}", "{", denominator, "}", ")"], offset + 4


def _mixed(tokens: list[str], at: int, before: str) -> tuple[list[str], int] | None:
    """A mixed number as tokens, and its length: 2\\frac{1}{3} and 2 1/3 are 7/3, unless the token before may belong to
    it."""
    whole, rest = tokens[at], tokens[at + 1 :]
    if not whole.isdigit() or before[-1:].isalnum() or before in ("^", "_", ")", "}", "]", "!", "|", "."):
        return None
    digits = [token for token in rest[:7] if token.isdigit()]
    if rest[:2] == ["\\frac", "{"] and [rest[3:5], rest[6:7]] == [["}", "{"], ["}"]] and len(digits) == 2:
        length = 8
    elif rest[:1] == ["\\frac"] and rest[1:2] and rest[1].isdigit() and len(rest[1]) == 2:
        digits, length = list(rest[1]), 3
    elif rest[:1] == [" "] and rest[2:3] == ["/"] and len(digits) == 2 and len(tokens) == at + 5:
        length = 5
    else:
        return None
    if int(digits[0]) >= int(digits[1]):
        return None
    return ["(", whole, "+", "\\frac", "{", digits[0], "}", "{", digits[1], "}", ")"], length


def _with_thousands(tokens: list[str]) -> list[str]:
    """Joins 1 000 000 to one number; other adjacent numbers are unreadable."""
    result: list[str] = []
    for at, token in enumerate(tokens):
        if token == " ":
            if not (result[-1].isdigit() and len(tokens[at - 1]) <= 3 and len(tokens[at + 1]) == 3):
                raise Unreadable
        elif at > 0 and tokens[at - 1] == " ":
            if not token.isdigit():
                raise Unreadable
            result[-1] += token
        elif "." in token and len(token) > 1:
            whole, _, part = token.partition(".")
            result += ["(", "\\frac", "{", str(int(whole + part)), "}", "{", str(10 ** len(part)), "}", ")"]
        else:
            result.append(token)
    return result


def _with_degrees(tokens: list[str]) -> list[str]:
    """Turns degrees in an expression, as in \\sin 30^\\circ, into radians."""
    result: list[str] = []
    at = 0
    while at < len(tokens):
        for degree in (["^", "\\circ"], ["^", "{", "\\circ", "}"]):
            if tokens[at : at + len(degree)] == degree:
                if not result or not result[-1].isdigit():
                    raise Unreadable
                result[-1:] = ["(", "\\frac", "{", result[-1], "\\pi", "}", "{", "180", "}", ")"]
                at += len(degree)
                break
        else:
            result.append(tokens[at])
            at += 1
    return result


def _with_groups(tokens: list[str]) -> list[str]:
    """Adds missing braces around the arguments of \\frac, \\sqrt, \\binom, `^` and `_`."""
    result: list[str] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        result.append(token)
        index += 1
        arguments = {"\\frac": 2, "\\binom": 2, "\\sqrt": 1, "^": 1, "_": 1}.get(token, 0)
        if token == "\\sqrt" and tokens[index : index + 1] == ["["]:
            end = closing(tokens, index)
            result += tokens[index : end + 1]
            index = end + 1
        for number in range(arguments):
            group, index, leftover = _group(tokens, index, token, last=number == arguments - 1)
            result += ["{", *_with_groups(group), "}"]
            if leftover:
                tokens = [*tokens[:index], leftover, *tokens[index:]]
    return result


def _group(tokens: list[str], at: int, token: str, *, last: bool) -> tuple[list[str], int, str]:
    """The argument of a command, the position after it, and unused digits of a number: \\frac12 takes 1 and 2."""
    if at >= len(tokens):
        raise Unreadable
    first = tokens[at]
    if first in ("{", "("):
        end = closing(tokens, at)
        return (tokens[at + 1 : end] if first == "{" else tokens[at : end + 1]), end + 1, ""
    if token == "^" and first in ("-", "+"):
        group, end, leftover = _group(tokens, at + 1, token, last=last)
        return [first, *group], end, leftover
    if first.isdigit() and len(first) > 1 and token not in ("^", "_"):
        if token == "\\sqrt" or last or len(first) > 2:
            raise Unreadable
        return [first[0]], at + 1, first[1:]
    return [first], at + 1, ""


def _constants(value: Any, tokens: list[str]) -> Any:
    """Makes `i` the imaginary unit, unless it is an index, and other letters real if nothing is complex."""
    import sympy

    if not isinstance(value, sympy.Expr):
        return value
    imaginary = sympy.Symbol("i")
    if imaginary in value.free_symbols:
        return value.xreplace({imaginary: sympy.I})
    if value.has(sympy.I, sympy.conjugate, sympy.re, sympy.im):
        return value
    return value.xreplace({symbol: sympy.Symbol(symbol.name, real=True) for symbol in value.free_symbols})

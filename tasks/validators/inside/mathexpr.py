"""One expression in LaTeX tokens as an exact expression of sympy: decimals are fractions, `i` and `e` the constants.

Only commands that latex2sympy is known to read whole are let through. Raises `Unreadable`.
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
    """The expression that `tokens` are. Raises `Unreadable`."""
    from latex2sympy2_extended import latex2sympy

    tokens = _with_groups(_with_degrees(_with_thousands(tokens)))
    for at, token in enumerate(tokens):
        if token.startswith("\\"):
            known = token in _COMMANDS
        else:
            known = token in _MARKS or token.isdigit() or (len(token) == 1 and token.isascii() and token.isalpha())
        # 5!! is (5!)! to some, 15 to others; an index of a number is a base.
        if not known or tokens[at : at + 2] == ["!", "!"] or (token == "_" and tokens[at - 1][:1].isdigit()):
            raise Unreadable
    try:
        return _constants(latex2sympy(joined(tokens)), tokens)
    except (RecursionError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - whatever its grammar and its conversion raise
        raise Unreadable from None


def with_fractions(tokens: list[str]) -> list[str]:
    """Repeating decimals and mixed numbers as sums of fractions."""
    result: list[str] = []
    at = 0
    while at < len(tokens):
        repeated = _repeating(tokens, at)
        mixed = None if repeated else _mixed(tokens, at, result[-1] if result else "")
        replaced, length = repeated or mixed or ([tokens[at]], 1)
        result += replaced
        at += length
    return result


def _repeating(tokens: list[str], at: int) -> tuple[list[str], int] | None:
    """0.1\\overline{6} is 1/10 + 6/90."""
    rest = tokens[at:]
    if not rest[0][:1].isdigit():
        return None
    whole, behind = (rest[0], 1) if "." in rest[0] else (rest[0] + ".", 2)
    if "." not in rest[0] and rest[1:2] != ["."]:
        return None
    if rest[behind : behind + 2] not in (["\\overline", "{"], ["\\bar", "{"], ["\\dot", "{"]):
        return None
    if rest[behind + 3 : behind + 4] != ["}"] or not (digits := rest[behind + 2]).isdigit():
        return None
    integer, _, fixed = whole.partition(".")
    under = str(int("9" * len(digits)) * 10 ** len(fixed))
    sums = ["(", "\\frac", "{", integer + fixed, "}", "{", str(10 ** len(fixed)), "}", "+"]
    return [*sums, "\\frac", "{", str(int(digits)), "}", "{", under, "}", ")"], behind + 4


def _mixed(tokens: list[str], at: int, before: str) -> tuple[list[str], int] | None:
    """2\\frac{1}{3} is 7/3, and so is 2 1/3, where nothing is before it that it could belong to."""
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
    """1 000 000 as one number; other numbers side by side are none."""
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
    """Degrees in an expression, as in \\sin 30^\\circ: parts of a turn."""
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
    """Braces around what \\frac, \\sqrt, \\binom, `^` and `_` take, where they are left out."""
    result: list[str] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        result.append(token)
        at += 1
        wanted = {"\\frac": 2, "\\binom": 2, "\\sqrt": 1, "^": 1, "_": 1}.get(token, 0)
        if token == "\\sqrt" and tokens[at : at + 1] == ["["]:
            end = closing(tokens, at)
            result += tokens[at : end + 1]
            at = end + 1
        for number in range(wanted):
            group, at, left = _group(tokens, at, token, last=number == wanted - 1)
            result += ["{", *_with_groups(group), "}"]
            if left:
                tokens = [*tokens[:at], left, *tokens[at:]]
    return result


def _group(tokens: list[str], at: int, token: str, *, last: bool) -> tuple[list[str], int, str]:
    """What a command takes, where it ends, and the digits of a number that it leaves: \\frac12 takes 1 and 2."""
    if at >= len(tokens):
        raise Unreadable
    first = tokens[at]
    if first in ("{", "("):
        end = closing(tokens, at)
        return (tokens[at + 1 : end] if first == "{" else tokens[at : end + 1]), end + 1, ""
    if token == "^" and first in ("-", "+"):
        group, end, left = _group(tokens, at + 1, token, last=last)
        return [first, *group], end, left
    if first.isdigit() and len(first) > 1 and token not in ("^", "_"):
        if token == "\\sqrt" or last or len(first) > 2:
            raise Unreadable
        return [first[0]], at + 1, first[1:]
    return [first], at + 1, ""


def _constants(value: Any, tokens: list[str]) -> Any:
    """`i` is the imaginary unit where it is no index; other letters are real, where nothing is complex."""
    import sympy

    if not isinstance(value, sympy.Expr):
        return value
    imaginary = sympy.Symbol("i")
    if imaginary in value.free_symbols:
        return value.xreplace({imaginary: sympy.I})
    if value.has(sympy.I, sympy.conjugate, sympy.re, sympy.im):
        return value
    return value.xreplace({symbol: sympy.Symbol(symbol.name, real=True) for symbol in value.free_symbols})

"""Whether two texts are the same mathematics, by math-verify: reads {nonce, expected, given} from standard
input, reports [nonce, same|other|unreadable] on a pipe. Runs in the sandbox because symbolic mathematics on
hostile input (towers of powers) takes any amount of time and memory."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from typing import Any

PACKAGES = "/opt/redraft/math"
REPORT = 9


def main() -> None:
    """Compares and reports."""
    order = json.loads(sys.stdin.buffer.read())
    sys.path.insert(0, PACKAGES)
    logging.disable(logging.CRITICAL)
    expected, given = _read(order["expected"]), _read(order["given"])
    verdict = "other"
    if not expected or not given:
        verdict = "unreadable expected" if not expected else "unreadable"
    elif _same(expected, given):
        verdict = "same"
    os.write(order.get("report", REPORT), json.dumps([order["nonce"], verdict]).encode())


def _read(text: str) -> list[Any]:
    """What math-verify makes of one LaTeX expression; plain forms such as `x**2` and `sqrt(2)` are put in LaTeX."""
    from math_verify import LatexExtractionConfig, parse

    bare = re.sub(r"^(\$\$?|\\\(|\\\[)(.*?)(\$\$?|\\\)|\\\])\.?$", r"\2", text.strip())
    latex = re.sub(r"\bsqrt\(([^()]*)\)", r"\\sqrt{\1}", bare.replace("**", "^"))
    latex = re.sub(r"(?<![\\a-zA-Z])(pi|sin|cos|tan|log|ln|exp)\b", r"\\\1 ", latex)
    latex = re.sub(r"\^\(([^()]*)\)", r"^{\1}", latex).replace("*", r" \cdot ")
    # Its own time limit is a signal, and would be no limit on memory: the sandbox has both.
    found: list[Any] = parse(
        f"${latex}$",
        extraction_config=[LatexExtractionConfig()],
        extraction_mode="first_match",
        fallback_mode="no_fallback",
        parsing_timeout=None,
    )
    return found


def _same(expected: list[Any], given: list[Any]) -> bool:
    from math_verify import verify

    return bool(verify(expected, given, timeout_seconds=None))


if __name__ == "__main__":
    main()

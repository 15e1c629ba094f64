"""Makes text from outside safe to show to a person: characters that are invisible, control a terminal or reverse the
order of letters are replaced by escapes (`\\u202e`). Must not know where the text is shown.

Characters that ordinary writing needs are kept: joiners between emoji and within scripts that join, one variation
selector after an emoji or ideograph, and the three flags that are written with tags.
"""

from __future__ import annotations

import json
import re

# Control characters (C0, DEL, C1) except tab and line feed; soft hyphen; fillers, separators and marks without a glyph;
# zero-width and directional characters; variation selectors; tags and surrogates. That is Unicode's categories Cc, Cf,
# Zl, Zp and Cs except for the few visible ones, and the default-ignorable letters.
_HIDDEN = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_EMOJI = r"\u203c-\u3299\U0001f000-\U0001faff"
_JOINING = r"\u0600-\u109f\u1700-\u1cff\ua800-\uabff"
_IDEOGRAPH = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KEPT = (
    rf"\r(?=\n)"
    rf"|(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])"
    rf"|(?<=[{_JOINING}])[\u200c\u200d](?=[{_JOINING}])"
    rf"|(?<=[{_EMOJI}\xa9\xae])[\ufe0e\ufe0f]|(?<=[0-9#*])\ufe0f(?=\u20e3)"
    rf"|(?<=[{_IDEOGRAPH}])[\U000e0100-\U000e01ef]"
    "|(?<=\U0001f3f4)\U000e0067\U000e0062(?:\U000e0065\U000e006e\U000e0067|\U000e0073\U000e0063\U000e0074|"
    "\U000e0077\U000e006c\U000e0073)\U000e007f"
)
# The look-ahead skips ordinary text quickly.
_PATTERN = re.compile(rf"(?=[{_HIDDEN}])(?:(?P<kept>{_KEPT})|.)", re.DOTALL)


def printable(text: str) -> str:
    """`text` with an escape for each character that could deceive the reader."""
    return _PATTERN.sub(lambda match: _kept(match) if match["kept"] else _escape(match[0]), text)


def printable_json(document: str) -> str:
    """A JSON document with JSON escapes for such characters; its value stays the same."""
    return _PATTERN.sub(lambda match: match["kept"] or json.dumps(match[0])[1:-1], document)


def _kept(match: re.Match[str]) -> str:
    return match[0].replace("\r", "")


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"

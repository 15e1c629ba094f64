"""Text from outside, as a person may be shown it: what is invisible, or would steer a terminal or turn the order of the
letters around, stands there as an escape (`\\u202e`). Must not know where it is shown.

What ordinary writing needs is kept: joiners between emoji and within scripts that join, the selectors of emoji and of
ideographs, one behind each, and the three flags that are written with tags.
"""

from __future__ import annotations

import json
import re

# Controls (C0, DEL, C1) but tab and line feed; soft hyphen; fillers, separators and marks without a glyph; zero widths
# and directions; variation selectors; tags and surrogates (Unicode's categories Cc, Cf, Zl, Zp, Cs but for the few
# that are seen, and the default-ignorable letters).
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
# The look ahead passes over ordinary text at once.
_PATTERN = re.compile(rf"(?=[{_HIDDEN}])(?:(?P<kept>{_KEPT})|.)", re.DOTALL)


def printable(text: str) -> str:
    """`text` with an escape for each character that could deceive who reads it."""
    return _PATTERN.sub(lambda match: _kept(match) if match["kept"] else _escape(match[0]), text)


def printable_json(document: str) -> str:
    """The same for a text of JSON, which says the same afterwards."""
    return _PATTERN.sub(lambda match: match["kept"] or json.dumps(match[0])[1:-1], document)


def _kept(match: re.Match[str]) -> str:
    return match[0].replace("\r", "")


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"

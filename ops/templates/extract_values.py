"""Compares the JSON of an answer with the right values. Its one argument is the file with the answer."""

import json
import re
import sys
from pathlib import Path

EXPECTED = {
    "number": "2026-117",
    "date": "2026-05-04",
    "items": [{"what": "repair", "euros": 1240.5}, {"what": "scaffold", "euros": 380}],
    "pay_by": "2026-05-18",
}


def plain(value):
    """Without what says nothing: capitals and spaces at the ends of a text."""
    if isinstance(value, str):
        return value.strip().lower()
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return {name: plain(inner) for name, inner in value.items()} if isinstance(value, dict) else value


text = Path(sys.argv[1]).read_text(encoding="utf-8")
blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
found = json.loads(blocks[-1] if blocks else text[text.index("{") : text.rindex("}") + 1])
wrong = [name for name, value in EXPECTED.items() if plain(found.get(name)) != plain(value)]
for name in wrong:
    print(f"{name} is {found.get(name)!r}, which is not what the letter says.")
sys.exit(1 if wrong else 0)

"""Compares the JSON of an answer with what the email says. Its one argument is the file with the answer."""

import json
import re
import sys
from pathlib import Path

EXPECTED = {
    "order": "NL-2291",
    "customer": "Marta Lindqvist",
    "items": [
        {"article": "desk lamp", "quantity": 12, "unit_price": 34.5},
        {"article": "floor lamp", "quantity": 3, "unit_price": 129.0},
    ],
    "deliver_by": "2026-03-20",
    "city": "Malmö",
}


def plain(value):
    """Without differences that say nothing: capitals, the plural, and 34.5 or 34.50."""
    if isinstance(value, str):
        return value.strip().lower().removesuffix("s")
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return {name: plain(inner) for name, inner in value.items()} if isinstance(value, dict) else value


text = Path(sys.argv[1]).read_text(encoding="utf-8")
blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
found = json.loads(blocks[-1] if blocks else text[text.index("{") : text.rindex("}") + 1])
wrong = [name for name, value in EXPECTED.items() if plain(found.get(name)) != plain(value)]
for name in wrong:
    print(f"{name} is {found.get(name)!r}, which is not what the email says.")
sys.exit(1 if wrong else 0)

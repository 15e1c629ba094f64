"""Checks the form of a notice: its length, what it must name, nothing left to fill in. Reads standard input."""

import re
import sys

FEWEST, MOST = 60, 120
NAMED = ("12 March", "9:00", "14:00", "valve", "Okafor")

text = sys.stdin.read()
words = len(re.findall(r"[\w'’:-]+", text))
faults = []
if not FEWEST <= words <= MOST:
    faults.append(f"The notice has {words} words; it must have {FEWEST} to {MOST}.")
faults += [f"The notice does not name {name!r}." for name in NAMED if name.lower() not in text.lower()]
if placeholder := re.search(r"[\[{<][^\]}>]*[\]}>]", text):
    faults.append(f"The notice holds a placeholder: {placeholder[0]}")
print("\n".join(faults))
sys.exit(1 if faults else 0)

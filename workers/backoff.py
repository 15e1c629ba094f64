"""How long to wait before what ended is started again. It must not know what time it is, nor what is started.

Tenacity would own the thread that waits; here each caller goes on with other work meanwhile, or hears a stop.
"""

from __future__ import annotations

FIRST_PAUSE_SECONDS = 1.0
# More doublings than any longest pause needs, and no more than a float holds.
MOST_DOUBLINGS = 30


def pause_seconds(ends: int, *, longest: float) -> float:
    """The pause after so many ends in a row, at least one: 1, 2, 4 … seconds, `longest` at most."""
    return min(longest, FIRST_PAUSE_SECONDS * 2.0 ** min(ends - 1, MOST_DOUBLINGS))

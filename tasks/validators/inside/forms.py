"""The terms in which values cross between the two processes: a form is JSON, an encoder writes it, a decoder reads it.

Must not know any kind of value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Form = Any  # what `json` can write: a scalar, or a list that begins with a tag
Encode = Callable[[Any], Form]
Decode = Callable[[Form], Any]


class Malformed(Exception):
    """The other side sent an invalid form; the connection is closed then."""

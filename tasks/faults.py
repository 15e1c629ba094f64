"""The faults of one input, gathered: it is refused once, with all of them. Knows no field and no rule."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tasks.errors import InvalidInput, InvalidInputs


class Faults:
    """What is not allowed of an input, in the order in which it was found."""

    def __init__(self) -> None:
        self._found: list[InvalidInput] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, *faults: InvalidInput) -> None:
        """Keeps the faults of each error."""
        self._found += [fault for error in faults for fault in error.faults]

    @contextlib.contextmanager
    def gather(self) -> Iterator[None]:
        """Keeps the `InvalidInput` that the block raises; the code behind it goes on."""
        try:
            yield
        except InvalidInput as error:
            self.add(error)

    def error(self, where: str = "") -> InvalidInput:
        """All faults as one error, their fields behind `where`, each once: the jobs of a sweep share theirs. There must
        be one."""
        faults = {str(fault): fault for fault in self._found}.values()
        found = [InvalidInput(f"{where}{fault.field}", fault.value, fault.allowed) for fault in faults]
        return found[0] if len(found) == 1 else InvalidInputs(found)

    def refuse(self, where: str = "") -> None:
        """Raises `InvalidInput` as `error` gives it, where there is any fault."""
        if self._found:
            raise self.error(where)

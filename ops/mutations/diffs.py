"""Prints as JSON what became of each mutant of the working folder, and the diff of those that nothing noticed.

Run by `ops/mutate.py` in its workspace: `mutmut show` would start a process for each. Must not know modules.toml.
"""

from __future__ import annotations

import json
import sys

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

# Of mutmut's words, those that say that nothing noticed.
UNNOTICED = frozenset({"survived", "no tests", "not checked"})


def main() -> None:
    """Writes `{mutant: diff}`, where the diff of a killed one is empty."""
    diffs: dict[str, str] = {}
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            unnoticed = status_by_exit_code[code] in UNNOTICED
            diffs[name] = get_diff_for_mutant(name, path=path) if unnoticed else ""
    json.dump(diffs, sys.stdout)


main()

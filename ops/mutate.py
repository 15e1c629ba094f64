"""Mutation tests: mutmut over the modules where a fault hurts most, each with the tests that must notice.

    python ops/mutate.py [MODULE ...] [--jobs N] [--last]

`ops/mutations/modules.toml` says what is mutated and what is run; the module `sql` is the mutations by hand of
`ops/mutations/statements.toml`. A survivor that changes nothing, or nothing that matters, is listed in
`ops/mutations/survivors.toml` with the reason; any other counts. Fails below 95 %.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
MUTATIONS = ROOT / "ops" / "mutations"
WORKSPACE = ROOT / ".mutate"
TARGET = 95.0
# A mutant that loops for ever is killed after four times what its tests take and twenty seconds more. By default it is
# fifteen times, which is minutes for each on a busy machine.
TIMEOUT = "timeout_constant=5.0\ntimeout_multiplier=4.0\n"
SQL = "sql"
TESTS_FAILED = 1  # as pytest ends then
_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """What is mutated, and which tests must notice."""

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change of one function: the lines before and after, stripped."""

    name: str
    function: str
    before: str
    after: str

    @property
    def wording(self) -> bool:
        """Whether only a sentence for people changed: a literal with a space in it."""
        if _LITERAL.sub('""', self.before) != _LITERAL.sub('""', self.after):
            return False
        pairs = zip(_LITERAL.findall(self.before), _LITERAL.findall(self.after), strict=True)
        return all(" " in before for before, after in pairs if before != after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What became of a module's mutants."""

    module: str
    killed: int
    wording: int
    listed: int
    survivors: tuple[Mutant, ...] = field(default=())

    @property
    def percent(self) -> float:
        """Of the mutants that are neither wording nor listed, how many were killed."""
        return 100 * self.killed / max(1, self.killed + len(self.survivors))


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries each module's mutants, prints the table, and fails where a module is below the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="names in modules.toml; all where left out")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at once")
    parser.add_argument("--last", action="store_true", help="read the results of the last run")
    options = parser.parse_args(arguments)
    modules = load_modules()
    names = options.modules or [*modules, SQL]
    unknown = sorted(set(names) - {*modules, SQL})
    if unknown:
        parser.error(f"unknown modules {', '.join(unknown)}; known are {', '.join([*modules, SQL])}")
    listed = load_survivors()
    scores = [
        score_statements() if name == SQL else score(modules[name], listed, options.jobs, again=not options.last)
        for name in names
    ]
    print_table(scores)
    return int(any(score.percent < TARGET for score in scores))


def load_modules() -> dict[str, Module]:
    """The modules of modules.toml by name."""
    tables = tomllib.loads((MUTATIONS / "modules.toml").read_text())
    return {
        name: Module(name=name, sources=tuple(table["sources"]), tests=tuple(table["tests"]))
        for name, table in tables.items()
    }


def load_survivors() -> frozenset[tuple[str, str, str]]:
    """The survivors that were judged harmless: function, line before, line after."""
    tables = tomllib.loads((MUTATIONS / "survivors.toml").read_text()).get("survivor", [])
    return frozenset((table["function"], table["before"], table["after"]) for table in tables)


def score(module: Module, listed: frozenset[tuple[str, str, str]], jobs: int, *, again: bool = True) -> Score:
    """Runs mutmut on a module in a copy of this repository; not `again` reads the last run's results."""
    workspace = WORKSPACE / module.name
    if again:
        run_mutmut(module, jobs)
    diffs = json.loads(run_text([sys.executable, str(MUTATIONS / "diffs.py")], workspace))
    survivors = [read_mutant(name, diff) for name, diff in diffs.items() if diff]
    kinds = Counter(
        "listed" if (m.function, m.before, m.after) in listed else "wording" if m.wording else "" for m in survivors
    )
    open_ = [m for m in survivors if not m.wording and (m.function, m.before, m.after) not in listed]
    return Score(
        module=module.name,
        killed=len(diffs) - len(survivors),
        wording=kinds["wording"],
        listed=kinds["listed"],
        survivors=tuple(open_),
    )


def score_statements() -> Score:
    """Tries each mutation of statements.toml, in a copy of this repository, against its own tests."""
    workspace = copy_tree(SQL)
    survivors = []
    statements = tomllib.loads((MUTATIONS / "statements.toml").read_text())["statement"]
    for number, statement in enumerate(statements, 1):
        path = workspace / statement["file"]
        text = path.read_text()
        if text.count(statement["before"]) != 1:
            sys.exit(f"statements.toml: {statement['before']!r} must stand in {statement['file']} once")
        path.write_text(text.replace(statement["before"], statement["after"]))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *statement["tests"]]
        environment = {**os.environ, "PYTHONPATH": str(workspace)}
        ran = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, check=False)
        path.write_text(text)
        if ran.returncode != TESTS_FAILED:
            name = f"{statement['file']}:{number}"
            survivors.append(Mutant(name=name, function="", before=statement["before"], after=statement["after"]))
    killed = len(statements) - len(survivors)
    return Score(module=SQL, killed=killed, wording=0, listed=0, survivors=tuple(survivors))


def run_mutmut(module: Module, jobs: int) -> None:
    """Tries every mutant. Exits where mutmut can't: the tests fail without a mutation, or meet none."""
    workspace = prepare(module)
    log = workspace.with_suffix(".log")
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs)]
    with log.open("w") as output:
        ran = subprocess.run(command, cwd=workspace, stdout=output, stderr=output, check=False)
    if ran.returncode:
        sys.exit(f"{module.name}: mutmut ended with {ran.returncode}; see {log}")


def prepare(module: Module) -> Path:
    """A copy of the repository's files, where mutmut is told what to mutate."""
    workspace = copy_tree(module.name)
    top = sorted({path.name for path in workspace.iterdir()} - {"tasks"})
    (workspace / "setup.cfg").write_text(
        "[mutmut]\nsource_paths=tasks\nuse_git_change_detection=false\nuse_setproctitle=false\n"
        + TIMEOUT
        + lines("only_mutate", module.sources)
        + lines("also_copy", top)
        + lines("pytest_add_cli_args", ["-p", "no:cacheprovider"])
        + lines("pytest_add_cli_args_test_selection", module.tests)
    )
    return workspace


def copy_tree(name: str) -> Path:
    """A fresh copy of the repository's files, but for those that git ignores."""
    workspace = WORKSPACE / name
    shutil.rmtree(workspace, ignore_errors=True)
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for file in run_text(listing, ROOT).splitlines():
        if (ROOT / file).is_file():
            (workspace / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, workspace / file)
    return workspace


def lines(key: str, values: Iterable[str]) -> str:
    """A list in setup.cfg."""
    return f"{key}=\n" + "".join(f"    {value}\n" for value in values)


def read_mutant(name: str, diff: str) -> Mutant:
    """A mutant from the diff that mutmut shows."""
    changes = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    function = re.sub(r"x_|xǁ", "", name.rsplit("__mutmut_", 1)[0], count=1).replace("ǁ", ".")
    return Mutant(
        name=name,
        function=function,
        before=" ".join(line[1:].strip() for line in changes if line[0] == "-"),
        after=" ".join(line[1:].strip() for line in changes if line[0] == "+"),
    )


def run_text(command: Sequence[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def print_table(scores: Sequence[Score]) -> None:
    """The survivors, then a line for each module."""
    for score in scores:
        for mutant in score.survivors:
            print(f"{mutant.name}\n  - {mutant.before}\n  + {mutant.after}")
    print(f"{'module':<14}{'killed':>8}{'survived':>10}{'listed':>8}{'wording':>9}{'%':>8}")
    for score in scores:
        counts = f"{score.killed:>8}{len(score.survivors):>10}{score.listed:>8}{score.wording:>9}"
        print(f"{score.module:<14}{counts}{score.percent:>8.1f}")


if __name__ == "__main__":
    sys.exit(main())

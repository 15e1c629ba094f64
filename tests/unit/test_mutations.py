"""The tables of `make mutate` speak of the code as it is: a line that was changed since would count, or stop it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MUTATIONS = ROOT / "ops" / "mutations"


def tables(name: str) -> dict[str, Any]:
    return tomllib.loads((MUTATIONS / name).read_text())


def source_of(name: list[str]) -> Path:
    return ROOT.joinpath(*name).with_suffix(".py")


STATEMENTS = tables("statements.toml")["statement"]
SURVIVORS = tables("survivors.toml")["survivor"]


def test_each_module_has_sources_and_tests() -> None:
    for name, module in tables("modules.toml").items():
        for pattern in (*module["sources"], *module["tests"]):
            assert list(ROOT.glob(pattern)), f"{name}: there is no {pattern}"


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: f"{statement['file']}: {statement['after']}")
def test_a_mutated_statement_stands_in_its_file_once_and_has_tests(statement: dict[str, Any]) -> None:
    assert (ROOT / statement["file"]).read_text().count(statement["before"]) == 1
    for test in statement["tests"]:
        assert (ROOT / test.partition("::")[0]).is_file()


@pytest.mark.parametrize("survivor", SURVIVORS, ids=lambda survivor: f"{survivor['function']}: {survivor['after']}")
def test_a_listed_survivor_is_a_change_of_a_line_that_is_there(survivor: dict[str, Any]) -> None:
    name = survivor["function"].split(".")
    source = next(path for end in range(len(name), 0, -1) if (path := source_of(name[:end])).is_file())
    text = " ".join(line.strip() for line in source.read_text().splitlines())
    assert f"def {name[-1]}(" in text, f"{survivor['function']}: mend or remove it in survivors.toml"
    assert survivor["before"] in text, f"{survivor['before']}: mend or remove it in survivors.toml"
    assert survivor["before"] != survivor["after"]

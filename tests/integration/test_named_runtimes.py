"""Runtimes of the sandbox: what a check imports by them, how one is added, and what happens without."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import pytest

from tasks.errors import SandboxUnavailable
from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.types import CheckSpec, SandboxJob
from tasks.validators.packages import NamedRuntimes
from tasks.validators.python import PythonValidator
from tasks.validators.registry import find
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder

pytestmark = pytest.mark.integration
TEST = "from solution import mean\nimport numpy\n\ndef test_mean():\n    assert mean(numpy.arange(5.0)) == 2.0\n"
ANSWER = "```python\nimport numpy\n\ndef mean(values):\n    return float(numpy.mean(values))\n```"


@pytest.fixture(scope="module")
def real_sandbox():
    return BubblewrapSandbox(default_runtime_folder(load_settings().cache))


@pytest.fixture
def folder(tmp_path):
    """A sandbox's folder of its own, which root's unprivileged uid can reach."""
    root = Path(tempfile.mkdtemp(dir="/tmp")) if os.geteuid() == 0 else tmp_path
    root.chmod(0o755)
    yield root
    if root != tmp_path:
        shutil.rmtree(root)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry of two small wheels: `greet` 1.0 and 2.0 requires `words`, and says so by `greet.hello()`."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    _wheel(wheels, "words", "1.0", {"words.py": "HELLO = 'hello'\n"})
    for version in ("1.0", "2.0"):
        source = f"import words\n\ndef hello():\n    return f'{{words.HELLO}} {version}'\n"
        _wheel(wheels, "greet", version, {"greet.py": source}, "Requires-Dist: words\n")
    _wheel(wheels, "broken", "1.0", {"broken.py": "import nothing_of_that_name\n"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheels


def _wheel(folder, name, version, files, more=""):
    info = f"{name}-{version}.dist-info"
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**contents, f"{info}/RECORD": record + f"{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)


def check(kind, value, files, **fields):
    return CheckSpec(name=kind, kind=kind, value=value, files=files, **fields)


def hello(sandbox, runtime):
    source = "import greet; print(greet.hello())"
    return sandbox.run(SandboxJob(argv=("python", "-c", source), runtime=runtime), SilentHeartbeat()).stdout


def test_a_python_check_and_its_candidate_import_numpy(real_sandbox):
    spec = check("python", "test_mean.py", {"test_mean.py": TEST}, runtime="numpy")
    verdict = PythonValidator().validate(ANSWER, spec, real_sandbox, SilentHeartbeat())
    assert verdict.passed, verdict.feedback


def test_without_the_runtime_there_is_no_numpy(real_sandbox):
    spec = check("python", "test_mean.py", {"test_mean.py": TEST})
    verdict = PythonValidator().validate(ANSWER, spec, real_sandbox, SilentHeartbeat())
    assert not verdict.passed
    assert "numpy" in verdict.feedback


def test_a_command_check_imports_numpy(real_sandbox):
    program = "import numpy, sys\nprint(numpy.linalg.det(numpy.eye(3)))\nsys.exit(open(sys.argv[1]).read() != '7')\n"
    spec = check("command", ["python", "judge.py", "{candidate}"], {"judge.py": program}, runtime="numpy")
    assert find("command").validate("7", spec, real_sandbox, SilentHeartbeat()).passed


def test_numeric_libraries_start_no_thread_for_each_core(real_sandbox):
    source = (
        "import numpy, os; numpy.ones((400, 400)) @ numpy.ones((400, 400)); print(len(os.listdir('/proc/self/task')))"
    )
    job = SandboxJob(argv=("python", "-c", source), runtime="numpy", memory_mb=256)
    assert real_sandbox.run(job, SilentHeartbeat()).stdout == "1\n"


def test_a_runtimes_packages_are_read_only(real_sandbox):
    source = "import numpy\ntry: open(numpy.__file__, 'a')\nexcept OSError: print('refused')"
    result = real_sandbox.run(SandboxJob(argv=("python", "-c", source), runtime="numpy"), SilentHeartbeat())
    assert result.stdout == "refused\n"


def test_an_unknown_runtime_is_a_fault_of_the_machine_and_no_verdict(real_sandbox):
    spec = check("python", "test_mean.py", {"test_mean.py": TEST}, runtime="never-built")
    with pytest.raises(SandboxUnavailable, match="no runtime 'never-built' on this machine"):
        PythonValidator().validate(ANSWER, spec, real_sandbox, SilentHeartbeat())


@pytest.mark.slow  # the refusal of a package that is not what the lock names stands for it
def test_an_added_runtime_has_a_lock_that_builds_the_same_again(folder, registry):
    sandbox = BubblewrapSandbox(folder)
    runtimes = NamedRuntimes(folder, sandbox.verify_packages)
    added = runtimes.add("mine", ["greet<2"])
    assert added.packages == ("greet==1.0", "words==1.0")
    assert hello(sandbox, "mine") == "hello 1.0\n"
    again = runtimes.add_locked("copy", added.lock.read_text())
    assert again.packages == added.packages
    assert hello(sandbox, "copy") == "hello 1.0\n"
    assert runtimes.names() == ["copy", "mine", "numpy"]
    assert not list((folder / "named").glob(".[clm]*"))


@pytest.mark.slow  # the copy from a lock stands for it
def test_a_folder_that_was_lost_is_built_from_the_lock_when_it_is_used(folder, registry):
    sandbox = BubblewrapSandbox(folder)
    shutil.rmtree(NamedRuntimes(folder).add("mine", ["greet<2"]).folder)
    assert hello(sandbox, "mine") == "hello 1.0\n"


def test_a_package_that_is_not_what_the_lock_names_is_refused(folder, registry):
    runtimes = NamedRuntimes(folder)
    lock = runtimes.add("mine", ["words"]).lock.read_text()
    _wheel(registry, "words", "1.0", {"words.py": "HELLO = 'changed'\n"})
    with pytest.raises(SandboxUnavailable, match=r"(?i)hash"):
        runtimes.add_locked("copy", lock)
    assert runtimes.names() == ["mine", "numpy"]


@pytest.mark.slow  # the refusal of a package stands for it
def test_what_cannot_be_imported_in_the_sandbox_is_not_kept(folder, registry):
    runtimes = NamedRuntimes(folder, BubblewrapSandbox(folder).verify_packages)
    runtimes.add("mine", ["words"])
    with pytest.raises(SandboxUnavailable, match=r"broken cannot be imported.*nothing_of_that_name"):
        runtimes.add("mine", ["broken"])
    assert runtimes.find("mine").packages == ("words==1.0",)


def test_a_package_that_the_registry_lacks_is_one_clear_line(folder, registry):
    with pytest.raises(SandboxUnavailable, match="pip could not install the runtime: ERROR: No matching distribution"):
        NamedRuntimes(folder).add("mine", ["nowhere"])
    assert NamedRuntimes(folder).names() == ["numpy"]

"""A real Prometheus for tests: this machine's, or Debian's package, unpacked into the user's cache once (19 MB).
Nothing is installed."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.settings import Settings
from workers.home import free_port
from workers.http_client import answers

PROGRAMS = ("prometheus", "promtool")


def programs() -> Path:
    """The folder of `prometheus` and `promtool`. Skips the test where neither this machine nor apt has them."""
    found = shutil.which("promtool")
    if found and shutil.which("prometheus"):
        return Path(found).parent
    folder = Settings().cache / "prometheus"
    if not folder.exists():
        _unpack(folder)
    return folder / "usr" / "bin"


def _unpack(folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        pytest.skip("needs Prometheus and promtool on this machine")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        got = subprocess.run(["apt-get", "download", "prometheus"], cwd=temporary, capture_output=True, check=False)
        packages = list(Path(temporary).glob("*.deb"))
        if got.returncode or not packages:
            pytest.skip("needs Prometheus and promtool on this machine, and apt has no package prometheus")
        root = Path(temporary) / "root"
        subprocess.run(["dpkg-deb", "--extract", str(packages[0]), str(root)], check=True)
        if not folder.exists():  # another process was faster
            root.rename(folder)


class Prometheus:
    """A running one."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples of an instant query. A query that Prometheus refuses raises."""
        asked = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(asked, timeout=10) as response:
            found = json.load(response)
        assert found["status"] == "success", found
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    def rules(self) -> dict[str, dict[str, Any]]:
        """The alert rules by name, with their health and state."""
        with urllib.request.urlopen(f"{self.url}/api/v1/rules", timeout=10) as response:
            groups = json.load(response)["data"]["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}


@contextlib.contextmanager
def scraping(target: str, rules: Path, folder: Path) -> Iterator[Prometheus]:
    """One that scrapes `target` (host:port) twice a second, until the end of the block."""
    configuration = folder / "prometheus.yml"
    scrape = {"job_name": "redraft", "static_configs": [{"targets": [target]}]}
    every = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    configuration.write_text(json.dumps({"global": every, "rule_files": [str(rules)], "scrape_configs": [scrape]}))
    port = free_port()
    process = subprocess.Popen(
        [
            str(programs() / "prometheus"),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
    )
    try:
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while not answers(f"{url}/-/ready"):
            assert process.poll() is None, "Prometheus ended at once"
            assert time.monotonic() < deadline, "Prometheus does not answer"
            time.sleep(0.1)
        yield Prometheus(url)
    finally:
        process.terminate()
        process.wait()

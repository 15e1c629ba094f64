"""A real Chromium, where there is one: a name on PATH, or what REDRAFT_TEST_CHROMIUM names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless, and reaching nothing beyond this machine. Skips where the machine has none. Playwright's event loop
    runs as long as this does, and no other may run beside it: not for the session, as other tests have theirs."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make test installs it")
    path = os.environ.get("REDRAFT_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no Chromium here ({', '.join(NAMES)}); REDRAFT_TEST_CHROMIUM names one elsewhere")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--proxy-server=127.0.0.1:9",
             "--proxy-bypass-list=127.0.0.1"]  # fmt: skip
    with api.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=flags)
        yield chromium
        chromium.close()

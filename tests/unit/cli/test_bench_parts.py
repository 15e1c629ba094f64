from __future__ import annotations

import os
import signal
from unittest.mock import Mock

import pytest

from tasks.settings import load_settings
from workers.cli.bench_parts import started


def test_an_engine_that_a_bench_has_started_ends_with_it_at_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    host, before = Mock(), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("workers.engine.select.build_host", lambda settings, say: host)
    monkeypatch.setattr("workers.engine.select.running_engine", lambda settings: None)
    with pytest.raises(SystemExit) as ended, started(load_settings(), "", "tiny"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 143
    host.stop.assert_called_once()
    assert signal.getsignal(signal.SIGTERM) is before

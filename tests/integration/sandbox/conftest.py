"""The real sandbox, started as we are and as an ordinary user."""

from __future__ import annotations

import os

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.integration.sandbox.programs import AsOrdinaryUser


@pytest.fixture(scope="module")
def real_sandbox():
    made = BubblewrapSandbox(default_runtime_folder(load_settings().cache))
    made.runtime(SilentHeartbeat())
    return made


@pytest.fixture(params=["as we are", "as an ordinary user"])
def sandbox(request, real_sandbox):
    if request.param == "as we are":
        return real_sandbox
    if os.geteuid() != 0:
        pytest.skip("these tests already run as an ordinary user")
    return AsOrdinaryUser(real_sandbox)

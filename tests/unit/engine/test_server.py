"""An engine that is installed already, with a program that answers as vLLM would."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from workers.engine.choice import Choice
from workers.engine.profiles import Profile, WeightsSource
from workers.engine.server import EngineServer
from workers.local.home import Home

PROGRAM = f"""#!{sys.executable}
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({{"version": "9.9"}})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({{"choices": [{{"message": {{"content": "Hello there."}}}}]}})

    def answer(self, body):
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.fixture
def vllm(tmp_path: Path) -> Path:
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return program


def test_an_installed_engine_is_started_and_no_environment_is_built(tmp_path: Path, vllm: Path) -> None:
    profile = Profile(
        name="tiny",
        engine="vllm-cpu",
        weights=WeightsSource(path=str(vllm.parent)),
        argv=("--attention-backend", "CPU_ATTN"),
        max_model_len=64,
        width=1,
        slots=1,
        max_answer_tokens=8,
        max_review_tokens=8,
    )
    server = EngineServer(
        Choice(profile=profile), home=Home(root=tmp_path / "home"), cache=tmp_path / "cache", say=print, vllm=vllm
    )
    server.start()
    try:
        assert server.ready
        assert re.fullmatch(
            r"vllm-cpu 9\.9 tiny weights [0-9a-f]{12} attention CPU_ATTN "
            r"argv --max-model-len 64 --max-num-seqs 16 --attention-backend CPU_ATTN",
            server.describe(),
        )
        assert not (tmp_path / "cache").exists()
    finally:
        server.stop()

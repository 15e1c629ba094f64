"""The command line of a llama.cpp server, as a `llama-server` of the user's own gets it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.unit.engine.test_server import running
from workers.engine.llamacpp import LlamaCpp
from workers.engine.placement import ALL_LAYERS, Choice
from workers.engine.profiles import Profile, WeightsSource
from workers.engine.server import EngineServer
from workers.home import Home

# A stand-in for a user's own server: it writes down its command line and answers as llama.cpp does.
PROGRAM = f"""#!{sys.executable}
import json, pathlib, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

pathlib.Path(__file__).with_name("argv").write_text(json.dumps(sys.argv[1:]))

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({{"build_info": "b7321-abcdef0"}})

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


def values(argv: list[str]) -> dict[str, str]:
    """Each flag and what follows it."""
    return dict(itertools.pairwise(argv))


def test_a_server_of_the_users_own_gets_the_same_command_line(
    profiles: Mapping[str, Profile], tmp_path: Path, gguf: WeightsSource
) -> None:
    program = tmp_path / "bin" / "llama-server"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    profile = profiles["smollm2-135m-q4"].model_copy(update={"weights": gguf})
    choice = Choice(profile=profile, max_num_seqs=4, threads=3, context_tokens=9000)
    server = EngineServer(
        choice, LlamaCpp(program), home=Home(root=tmp_path / "home"), cache=tmp_path / "cache", say=lambda line: None
    )
    with running(server):
        assert server.describe().startswith("llama.cpp b7321-abcdef0 smollm2-135m-q4 weights ")
        argv = json.loads(program.with_name("argv").read_text())
    flags = values(argv)
    assert Path(flags["-m"]).read_bytes() == b"GGUF of a test"
    assert (flags["--alias"], flags["--host"], flags["--port"]) == (profile.name, "127.0.0.1", server.url[17:-3])
    assert (flags["--ctx-size"], flags["--parallel"], flags["--threads"]) == ("9000", "4", "3")
    assert {"--kv-unified", "--metrics", "--slots", "--jinja"} <= set(argv)
    assert not list((tmp_path / "cache").glob("engine-*"))


def test_cards_and_the_profile_s_own_flags_are_said_last(profiles: Mapping[str, Profile]) -> None:
    profile = profiles["gemma-4-31b-ud-iq3-xxs"]
    choice = Choice(profile=profile, max_num_seqs=2, gpu_layers=ALL_LAYERS, tensor_split=(0.6, 0.4))
    flags = list(LlamaCpp().flags(choice))
    assert values(flags)["--tensor-split"] == "0.6,0.4"
    assert values(flags)["--n-gpu-layers"] == str(ALL_LAYERS)
    assert "--threads" not in flags
    assert flags[-len(profile.argv) :] == list(profile.argv)
    whole = dataclasses.replace(choice, context_tokens=0)
    assert "--kv-unified" in LlamaCpp().flags(dataclasses.replace(choice, context_tokens=2 * profile.max_model_len - 1))
    assert "--kv-unified" not in LlamaCpp().flags(whole), "each slot has room for the longest request"
    assert values(list(LlamaCpp().flags(whole)))["--ctx-size"] == str(2 * profile.max_model_len)

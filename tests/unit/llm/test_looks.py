"""A cloud that answers some looks and fails others: only failures in a row count."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tasks.errors import CloudFault
from tasks.llm.responses import FAILED_POLLS, OpenAIResponses
from tasks.types import CloudEnd
from tests.unit.llm.conftest import CountingHeartbeat

UNDER_WAY, FAILS, COMPLETED = "in_progress", "", "completed"


@contextmanager
def cloud(looks: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Its URL, and the looks that are still to come; a status each, or a fault."""
    left = list(looks)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = left.pop(0)
            body = json.dumps({"id": "resp_1", "object": "response", "status": status, "model": "m", "output": []})
            self.send_response(200 if status else 500)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", left
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attach(url: str) -> CloudEnd:
    client = OpenAIResponses(base_url=url, api_key="k", first_event_seconds=20, answer_seconds=60, pauses=(0.001,))
    return client.attach("resp_1", CountingHeartbeat()).end


def test_failed_looks_with_a_good_one_between_them_are_no_fault() -> None:
    almost = [FAILS] * (FAILED_POLLS - 1)
    with cloud([*almost, UNDER_WAY, *almost, UNDER_WAY, *almost, COMPLETED]) as (url, left):
        assert attach(url) is CloudEnd.COMPLETED
        assert left == []


def test_failed_looks_in_a_row_are_a_fault_for_a_later_turn() -> None:
    with cloud([UNDER_WAY, *[FAILS] * FAILED_POLLS, COMPLETED]) as (url, left):
        with pytest.raises(CloudFault, match="resp_1 can't be fetched"):
            attach(url)
        assert left == [COMPLETED]

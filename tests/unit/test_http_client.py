"""The one plain HTTP client: what it sends, what it makes of an answer, and what it never says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from workers.home import free_port
from workers.http_client import RequestFailed, answers, request

KEY = "sk-secret"


class Server:
    """Answers each request with `status` and `text`, and keeps what it was sent."""

    def __init__(self) -> None:
        self.status, self.text = 200, '{"well": true}'
        self.seen: list[tuple[str, str, str]] = []
        self.url = ""


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length).decode()
            server.seen.append((self.command, self.headers.get("Authorization", ""), sent))
            body = server.text.encode()
            self.send_response(server.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{listening.server_address[1]}"
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def test_a_request_without_a_body_is_a_get_and_one_with_a_body_a_post_of_json() -> None:
    with serving() as server:
        assert request(server.url) == '{"well": true}'
        request(server.url, key=KEY, body={"model": "tiny"})
        request(server.url, body={})
    assert server.seen == [("GET", "", ""), ("POST", f"Bearer {KEY}", '{"model": "tiny"}'), ("POST", "", "{}")]


def test_an_error_tells_the_status_and_an_excerpt_and_neither_key_nor_password() -> None:
    with serving() as server:
        server.status, server.text = 500, "out of\n memory " + "x" * 1000
        address = server.url.replace("http://", "http://ada:pass@")
        with pytest.raises(RequestFailed) as caught:
            request(f"{address}/health", key=KEY)
        assert not answers(server.url)
    assert str(caught.value).startswith(f"{server.url}/health: 500 Internal Server Error out of memory x")
    assert len(str(caught.value)) < 500
    assert KEY not in str(caught.value)
    assert "pass" not in str(caught.value)


def test_a_long_answer_is_cut() -> None:
    with serving() as server:
        server.text = "x" * 100_000
        assert request(server.url, most_bytes=10) == "x" * 10


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "http://127.0.0.1:{port}x/", "nothing"])
def test_who_does_not_answer_or_has_no_address_is_a_failed_request(url: str) -> None:
    url = url.format(port=free_port())
    with pytest.raises(RequestFailed):
        request(url)
    assert not answers(url)

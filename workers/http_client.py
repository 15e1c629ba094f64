"""One request over HTTP to an engine or a part of the stack, with a time limit. Streams of tokens have a client of
their own (`tasks.llm`). Must not know what is asked of whom.

A key goes into a header and into no message: what is raised names the address without any credentials.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl

    import httpx2

# Of a body, so that a server that never ends its answer is not read for ever.
MOST_BYTES = 4 * 1024 * 1024
# Of an error's body, for the message.
ERROR_CHARACTERS = 400
# Of a body that nobody needs, after its status.
BODY_SECONDS = 1.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class RequestFailed(Exception):
    """No answer came, or one that says that something is wrong; the text is for people."""


def request(
    url: str,
    *,
    key: str = "",
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = 5.0,
    most_bytes: int = MOST_BYTES,
) -> str:
    """GET, or POST of `body` as JSON: the text of the answer, cut after `most_bytes`.

    `seconds` bounds the connection, and each silence while the answer comes. Raises `RequestFailed`.
    """
    import httpx2

    bearer = {"Authorization": f"Bearer {key}"} if key else {}
    method, content = ("GET", None) if body is None else ("POST", json.dumps(body))
    sent = {"Content-Type": "application/json", **bearer, **(headers or {})}
    try:
        with _client(url, seconds) as client, client.stream(method, url, content=content, headers=sent) as response:
            text = _read(response, most_bytes)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        raise RequestFailed(f"{public_url(url)}: {error or type(error).__name__}") from error
    if not response.is_success:
        raise RequestFailed(_refusal(url, response, text))
    return text


def stream(url: str, *, body: Any, seconds: float) -> Generator[bytes, None, None]:
    """POST of `body` as JSON: the chunks of the answer as they come, each after a silence of at most `seconds`. Closing
    it ends the request. Raises `RequestFailed`."""
    import httpx2

    try:
        with _client(url, seconds) as client, client.stream("POST", url, json=body) as response:
            if not response.is_success:
                raise RequestFailed(_refusal(url, response, _read(response, MOST_BYTES)))
            yield from response.iter_bytes()
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise RequestFailed(f"{public_url(url)}: {error or type(error).__name__}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said: the status, the headers by their names in lower case, the beginning of the body."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def line(self) -> str:
        """The status in the words of the standard, whatever the server calls it."""
        with contextlib.suppress(ValueError):
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        return str(self.status)


def post(url: str, *, content: bytes, headers: Mapping[str, str], seconds: float, most_bytes: int) -> Answer:
    """POST of `content` as it is, to somebody else's server: whatever it answers, and no redirect is followed.

    `seconds` bounds the whole request until the status has come, however slowly it comes; the body is read a second
    longer at most. Raises `RequestFailed`, which names no address.
    """
    import asyncio

    import httpx2

    try:
        return asyncio.run(_post(url, content, headers, seconds, most_bytes))
    except TimeoutError as error:
        raise RequestFailed(f"no answer within {seconds:g} s") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        raise RequestFailed(f"{error or type(error).__name__}".replace(url, "…")) from error


async def _post(url: str, content: bytes, headers: Mapping[str, str], seconds: float, most_bytes: int) -> Answer:
    import asyncio

    import httpx2

    received = bytearray()
    async with asyncio.timeout(seconds) as limit:
        async with (
            httpx2.AsyncClient(verify=_tls(), trust_env=_trusts_proxy(url), timeout=seconds) as client,
            client.stream(
                "POST", url, content=content, headers={"Accept-Encoding": "identity", **headers}, follow_redirects=False
            ) as response,
        ):
            limit.reschedule(None)
            with contextlib.suppress(TimeoutError, httpx2.HTTPError):
                async with asyncio.timeout(BODY_SECONDS):
                    async for chunk in response.aiter_raw():
                        received += chunk
                        if len(received) >= most_bytes:
                            break
            text = received[:most_bytes].decode(errors="replace")
            return Answer(status=response.status_code, headers=dict(response.headers), text=text)


def answers(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether an address answers, and well."""
    try:
        request(url, headers=headers, seconds=2)
    except RequestFailed:
        return False
    return True


def public_url(url: str) -> str:
    """The address without a name or password in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1]).geturl()


def _refusal(url: str, response: httpx2.Response, text: str) -> str:
    excerpt = " ".join(text[:ERROR_CHARACTERS].split())
    return f"{public_url(url)}: {response.status_code} {response.reason_phrase} {excerpt}".rstrip()


def _read(response: httpx2.Response, most_bytes: int) -> str:
    received = bytearray()
    for chunk in response.iter_bytes():
        received += chunk
        if len(received) >= most_bytes:
            break
    return received[:most_bytes].decode(errors="replace")


def _client(url: str, seconds: float) -> httpx2.Client:
    import httpx2

    return httpx2.Client(verify=_tls(), trust_env=_trusts_proxy(url), follow_redirects=True, timeout=seconds)


def _trusts_proxy(url: str) -> bool:
    """A proxy has no business between us and our own machine."""
    return urlsplit(url).hostname not in LOOPBACK


@functools.cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes tens of milliseconds: once a process."""
    import httpx2

    return httpx2.create_ssl_context()

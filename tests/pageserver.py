"""The live page served in this process over a scripted client, and a browser's manners to ask it with."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tornado.ioloop import IOLoop

from tests.board import ScriptedClient
from workers.ui.access import Attempts, Sessions
from workers.ui.handlers import Context
from workers.ui.links import LinkKeys, make_link_key
from workers.ui.server import listen

SECRET = "only-for-this-test"
URL = "postgresql://ada:hush@db.example/redraft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(slots=True, kw_only=True)
class Page:
    """A server of the page: `cookie` is that of whoever signed in."""

    client: ScriptedClient
    context: Context
    port: int
    cookie: str = ""
    seen: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def link(self, now: float) -> str:
        """A one-time link's path."""
        return f"/enter?key={make_link_key(SECRET, now)}"

    def sign_in(self) -> None:
        """As who a link belongs to."""
        self.cookie = f"redraft-ui={self.context.sessions.open(URL)}"

    @property
    def token(self) -> str:
        """What a form of the session carries."""
        session = self.context.sessions.find(self.cookie.partition("=")[2])
        assert session is not None
        return session.token

    def get(self, path: str, **headers: str) -> Answer:
        """A GET request."""
        return self._ask("GET", path, None, headers)

    def post(self, path: str, form: dict[str, str], **headers: str) -> Answer:
        """A form that is sent from the page itself, unless `headers` say otherwise."""
        typed = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.origin}
        return self._ask("POST", path, urlencode(form), {**typed, **headers})

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            sent = {"Cookie": self.cookie, **{name.replace("_", "-"): value for name, value in headers.items()}}
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(status=answer.status, headers=dict(answer.getheaders()), body=answer.read().decode())
        finally:
            connection.close()


@contextlib.contextmanager
def serving(client: ScriptedClient | None = None, *, hosts: frozenset[str] = frozenset()) -> Iterator[Page]:
    """Serves the page on a free port of loopback, in a thread."""
    client = client or ScriptedClient()
    context = Context(
        sessions=Sessions(connect=lambda url: client),  # type: ignore[arg-type,return-value]
        links=LinkKeys(SECRET),
        attempts=Attempts(),
        database_url=URL,
        hosts=hosts,
    )
    ready, ports, loops = threading.Event(), list[int](), list[IOLoop]()

    def run() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        loop = IOLoop.current()
        server = listen(context, 0)
        loops.append(loop)
        ports.extend(socket.getsockname()[1] for socket in server._sockets.values())
        loop.add_callback(ready.set)
        loop.start()
        server.stop()
        loop.run_sync(server.close_all_connections)
        loop.close(all_fds=True)

    thread = threading.Thread(target=run, name="the page")
    thread.start()
    assert ready.wait(10)
    try:
        page = Page(client=client, context=context, port=ports[0])
        page.sign_in()
        yield page
    finally:
        loops[0].add_callback(loops[0].stop)
        thread.join()
        context.pool.shutdown()

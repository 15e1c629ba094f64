"""The server of the live page: `python -m workers.ui.server` serves it for the stack of $REDRAFT_HOME. Prints nothing
that opens it."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.web import Application

from tasks.errors import PartFailed
from tasks.locations import default_home
from tasks.settings import load_settings
from workers.stackfile import StackFile, read
from workers.ui.access import Attempts, Sessions
from workers.ui.actions import Action, NewBudget, Word
from workers.ui.entry import Entry, Health, Leave, Link, Static
from workers.ui.handlers import Context, Handler
from workers.ui.jobpages import AnswerPage, CallPage, EgressPage, EventsPage, IterationPage, JobPage, NowPage
from workers.ui.links import LinkKeys, make_link_key
from workers.ui.pages import Compare, Jobs, Overview
from workers.ui.stream import Changes

LOOPBACK = "127.0.0.1"
# A form of ours has a login, a password, a token, or a short text.
MOST_BODY_BYTES = 256 * 1024
# Streams that are open when the process is told to end are not waited for.
CLOSE_SECONDS = 0.2


class Missing(Handler):
    """Whatever has no page."""

    async def prepare(self) -> None:
        """Shows that there is none."""
        await super().prepare()
        self.send_error(404)


def application(context: Context) -> Application:
    """The page's addresses. Nothing is logged of a request: a link's key is in one."""
    share = {"context": context}
    routes = [
        (r"/", Overview),
        (r"/jobs", Jobs),
        (r"/compare", Compare),
        (r"/jobs/(\d+)", JobPage),
        (r"/jobs/(\d+)/now", NowPage),
        (r"/jobs/(\d+)/iterations/(\d+)", IterationPage),
        (r"/jobs/(\d+)/calls/(\d+)", CallPage),
        (r"/jobs/(\d+)/events", EventsPage),
        (r"/jobs/(\d+)/egress", EgressPage),
        (r"/jobs/(\d+)/answer", AnswerPage),
        (rf"/jobs/(\d+)/({Action.names})", Action),
        (rf"/jobs/(\d+)/({Word.names})", Word),
        (r"/jobs/(\d+)/budget", NewBudget),
        (r"/changes", Changes),
        (r"/enter", Link),
        (r"/sign-in", Entry),
        (r"/sign-out", Leave),
        (r"/health", Health),
        (r"/static/([a-z]+\.(?:css|js|svg))", Static),
    ]
    return Application(
        [(path, handler, share) for path, handler in routes],
        default_handler_class=Missing,
        default_handler_args=share,
        log_function=lambda _: None,
    )


def listen(context: Context, port: int) -> HTTPServer:
    """Listens on loopback; 0 takes a free port."""
    server = HTTPServer(application(context), max_body_size=MOST_BODY_BYTES)
    server.listen(port, address=LOOPBACK)
    return server


def serve(context: Context, port: int, ready: Callable[[int], None] = lambda port: None) -> None:
    """Serves until TERM or INT; `ready` is told the port once it listens. Raises `PartFailed` where the port is
    another's."""
    loop = IOLoop.current()
    try:
        server = listen(context, port)
    except OSError as error:
        raise PartFailed(f"port {port} can't be used: {error.strerror}") from error
    ready(next(iter(server._sockets.values())).getsockname()[1])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.add_callback_from_signal(loop.stop))
    try:
        loop.start()
    finally:
        server.stop()
        context.pool.shutdown(wait=False, cancel_futures=True)
        context.sessions.close_all()


def context_of(stack: StackFile) -> Context:
    """What the page of a local stack shares."""
    from workers.ui.engine import engine_fault

    home = default_home()
    return Context(
        sessions=Sessions(),
        links=LinkKeys(stack.ui_secret),
        attempts=Attempts(),
        database_url=stack.user_url,
        hosts=load_settings().ui_hosts,
        cookie=f"redraft-ui-{urlsplit(stack.ui_url).port}",
        engine=lambda: engine_fault(home),
    )


def serve_database(url: str, port: int, say: Callable[[str], None]) -> None:
    """Serves the page of a database somewhere else until TERM or INT; `say` is told a link, for whoever `url` belongs
    to. Raises `PartFailed` where the port is another's."""
    secret = secrets.token_urlsafe(32)
    context = Context(
        sessions=Sessions(),
        links=LinkKeys(secret),
        attempts=Attempts(),
        database_url=url,
        hosts=load_settings().ui_hosts,
        cookie=f"redraft-ui-{port or os.getpid()}",
    )
    serve(context, port, lambda at: say(f"http://{LOOPBACK}:{at}/enter?key={make_link_key(secret, time.time())}"))


def main() -> int:
    """Serves the page of the stack in $REDRAFT_HOME; returns the exit code."""
    stack = read(default_home())
    if stack is None:
        sys.stderr.write("no stack is running here\n")
        return 1
    try:
        serve(context_of(stack), urlsplit(stack.ui_url).port or 0)
    except PartFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

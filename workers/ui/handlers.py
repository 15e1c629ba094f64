"""What every request to the page goes through: the host's name, the session, the headers, errors as pages. Knows no
job."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog
from tornado.ioloop import IOLoop
from tornado.template import Loader
from tornado.web import HTTPError, RequestHandler

from tasks.errors import DatabaseUnavailable, InvalidInput, NoSuchJob, RedraftError
from workers import wording
from workers.hostnames import is_ours
from workers.ui import text
from workers.ui.access import Attempts, Session, Sessions
from workers.ui.links import LinkKeys
from workers.ui.versions import Versions
from workers.ui.worklog import WorkLog

log = structlog.get_logger()

# Requests that read the database at once. They wait for Postgres, not for a processor.
THREADS = 4
HERE = Path(__file__).parent
# No code but the page's own file, nothing from elsewhere, no frame around it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer` a browser names no origin in a form, which is how a foreign one is told.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
    "Server": "redraft",
}
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the handlers share. `database_url` is the database under the login of whoever prints links; others sign in
    there with a login of their own. `hosts` are the names that the page may be called by beside loopback's, `cookie` is
    the name of its cookie, `engine` says what is wrong with the local engine (empty: nothing that this machine knows
    of)."""

    sessions: Sessions
    links: LinkKeys
    attempts: Attempts
    database_url: str
    hosts: Collection[str] = ()
    cookie: str = "redraft-ui"
    engine: Callable[[], str] = lambda: ""
    work: WorkLog = field(default_factory=WorkLog)
    versions: Versions = field(default_factory=Versions)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "page"))


@functools.cache
def templates() -> Loader:
    """The page's templates; each of their values goes through `text.shown`."""
    namespace = {
        "shown": text.shown,
        **{name: getattr(text, name) for name in ("clipped", "one_line", "ago", "clock")},
        **{name: getattr(wording, name) for name in ("usd", "score", "score_of", "count", "duration")},
    }
    return Loader(str(HERE / "templates"), autoescape="shown", namespace=namespace)


class Handler(RequestHandler):
    """Parameter: `context`. `public` handlers ask for no session."""

    public = False

    def initialize(self, context: Context) -> None:
        """Keeps what all handlers share."""
        self.context = context
        self.session: Session | None = None
        self.fault = ""

    def set_default_headers(self) -> None:
        """Those of every answer, of errors, too."""
        for name, value in HEADERS.items():
            self.set_header(name, value)

    async def prepare(self) -> None:
        """Refuses a foreign name (DNS rebinding) and whoever has not signed in."""
        if not is_ours(self.request.host, self.context.hosts):
            raise HTTPError(403, reason="Foreign host name")
        if self.public:
            return
        self.session = self.context.sessions.find(self.get_cookie(self.context.cookie) or "")
        if self.session is None:
            raise HTTPError(401)
        if self.request.method == "POST":
            self._check_form(self.session)

    @property
    def signed_in(self) -> Session:
        """The session of a request that needs one."""
        assert self.session is not None
        return self.session

    def check_origin(self) -> None:
        """Raises `HTTPError` 403 where another site's page sent the request. A browser names each POST's origin."""
        origin = self.request.headers.get("Origin", "")
        site = self.request.headers.get("Sec-Fetch-Site", "same-origin")
        if urlsplit(origin).netloc != self.request.host or site != "same-origin":
            raise HTTPError(403, reason="Foreign origin")

    def _check_form(self, session: Session) -> None:
        self.check_origin()
        token = self.get_body_argument("token", "")
        if not hmac.compare_digest(token.encode(), session.token.encode()):
            raise HTTPError(403, reason="Stale form")

    async def read(self, work: Callable[[], Result]) -> Result:
        """What `work` returns, in a thread: it waits for the database."""
        return await IOLoop.current().run_in_executor(self.context.pool, work)

    def show(self, name: str, **values: Any) -> None:
        """Ends the request with a page."""
        html = (
            templates()
            .load(name)
            .generate(session=self.session, **{"changes": "", "text_at": "", "here": "", **values})
        )
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(html)

    def number(self, name: str, *, most: int = 2**62) -> int | None:
        """A number of the query, None where there is none. Raises `HTTPError` 400."""
        given = self.get_query_argument(name, "")
        if not given:
            return None
        if not (given.isascii() and given.isdecimal() and len(given) < 20 and 0 < int(given) <= most):
            raise HTTPError(400, reason=f"No such {name}")
        return int(given)

    def _handle_request_exception(self, error: BaseException) -> None:
        match error:
            case NoSuchJob():
                error = HTTPError(404)
            case DatabaseUnavailable():
                error = HTTPError(503, reason="The database is away")
            case InvalidInput():
                self.fault = text.one_line(str(error), 600)
                error = HTTPError(400, reason="Not allowed")
        super()._handle_request_exception(error)

    def write_error(self, status_code: int, **_: Any) -> None:
        """A page that says what happened, and nothing of how."""
        self.show("error.html", status=status_code, reason=self._reason, fault=self.fault)

    def log_exception(self, kind: Any, error: Any, _: Any) -> None:
        """A defect is logged by its type and place; an address may hold a link's key, so it is not."""
        if not isinstance(error, HTTPError | RedraftError):
            log.error("the page failed", handler=type(self).__name__, exc_info=error)

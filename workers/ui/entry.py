"""Signing in and out: the one-time link, a database login with its password. Knows no job."""

from __future__ import annotations

import asyncio
from urllib.parse import quote, urlsplit, urlunsplit

from tornado.web import HTTPError

from workers.ui.access import sign_in
from workers.ui.handlers import HERE, Handler

# A wrong password answers no sooner than this.
WRONG_SECONDS = 1.0
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


class Health(Handler):
    """Whether the process answers; for whoever started it."""

    public = True

    def get(self) -> None:
        """Says so."""
        self.set_header("Content-Type", "text/plain")
        self.finish("ok\n")


class Static(Handler):
    """The style sheet, the script, the icon: no secret is in them."""

    public = True

    def get(self, name: str) -> None:
        """The file. Raises `HTTPError` 404."""
        path = HERE / "static" / name
        if not path.is_file():
            raise HTTPError(404)
        self.set_header("Content-Type", TYPES[path.suffix[1:]])
        self.set_header("Cache-Control", "no-cache")
        self.finish(path.read_bytes())


class Link(Handler):
    """`/enter?key=…`: opens the page once, as whoever prints such links."""

    public = True

    async def get(self) -> None:
        """Signs in and goes on by a page, not by a redirect: a browser sends a cookie that is strict only on from our
        own."""
        if not self.context.links.use(self.get_query_argument("key", "")):
            self.set_status(403)
            self.show("entry.html", fault="This link has been used or has run out; `redraft ui` prints another.")
            return
        name = await self.read(lambda: self.context.sessions.open(self.context.database_url))
        keep(self, name)
        self.set_header("Refresh", "0; url=/")
        self.show("entered.html")


class Entry(Handler):
    """`/sign-in`: a login of the database with its password."""

    public = True

    def get(self) -> None:
        """The form."""
        self.show("entry.html", fault="")

    async def post(self) -> None:
        """Signs in where Postgres takes the password."""
        self.check_origin()
        login, password = self.get_body_argument("login", ""), self.get_body_argument("password", "", strip=False)
        if not self.context.attempts.may_try():
            self.set_status(429)
            self.show("entry.html", fault="Too many wrong passwords; try again in a minute.")
            return
        url = login_url(self.context.database_url, login, password)
        name = None
        if login and password and "\0" not in login + password:
            name = await self.read(lambda: sign_in(self.context.sessions, self.context.attempts, url))
        if name is None:
            await asyncio.sleep(WRONG_SECONDS)
            self.set_status(403)
            self.show("entry.html", fault="Postgres does not take this login and password.")
            return
        keep(self, name)
        self.redirect("/", status=303)


class Leave(Handler):
    """`/sign-out`."""

    def post(self) -> None:
        """Signs out."""
        self.context.sessions.close(self.get_cookie(self.context.cookie) or "")
        self.clear_cookie(self.context.cookie)
        self.redirect("/sign-in", status=303)


def keep(handler: Handler, session: str) -> None:
    """Sets the session's cookie: no script reads it, no other site's request carries it."""
    handler.set_cookie(handler.context.cookie, session, path="/", httponly=True, samesite="Strict", expires_days=None)


def login_url(url: str, login: str, password: str) -> str:
    """The same database under another login."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(login, safe='')}:{quote(password, safe='')}@{place}"))

"""`/changes`: says that something has changed, never what: the browser fetches the page that it shows again."""

from __future__ import annotations

import asyncio
import time

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from tasks.errors import DatabaseUnavailable
from workers.ui.handlers import Handler
from workers.ui.versions import LOOK_SECONDS, Version

# A comment so often keeps proxies from taking the stream for dead, and shows that the browser has gone.
SIGN_SECONDS = 10.0
MOST_STREAMS = 64


class Changes(Handler):
    """Server-sent events, until the browser goes or its session ends."""

    async def get(self) -> None:
        """Streams. Raises `HTTPError` 429 where too many are open."""
        if self.context.versions.streams >= MOST_STREAMS:
            raise HTTPError(429)
        job = self.number("job") or 0
        self.set_header("Content-Type", "text/event-stream")
        self.context.versions.streams += 1
        try:
            await self._stream(job)
        except StreamClosedError:
            pass
        finally:
            self.context.versions.streams -= 1

    async def _stream(self, job: int) -> None:
        shown: Version | None = None
        said_at = 0.0
        while self.context.sessions.find(self.get_cookie(self.context.cookie) or "") is not None:
            version, now = await self._version(job), time.monotonic()
            if version != shown:
                self.write(f"event: {_event(version, shown)}\ndata: -\n\n")
            elif now - said_at > SIGN_SECONDS:
                self.write(": still here\n\n")
            if version != shown or now - said_at > SIGN_SECONDS:
                shown, said_at = version, now
                await self.flush()
            await asyncio.sleep(LOOK_SECONDS)

    async def _version(self, job: int) -> Version | None:
        """None while the database is away."""
        try:
            return await self.read(lambda: self.context.versions.of(self.signed_in, job))
        except DatabaseUnavailable:
            return None


def _event(version: Version | None, shown: Version | None) -> str:
    """What the browser hears: the database is away, the page has changed, or only the text that is being written."""
    if version is None:
        return "away"
    return "change" if shown is None or version.page != shown.page else "text"

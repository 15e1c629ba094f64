"""Events as signed POSTs, as Standard Webhooks has them (https://www.standardwebhooks.com, version 1.0.0): the headers
`webhook-id`, `webhook-timestamp` and `webhook-signature`, HMAC-SHA256. Must not know what an event says.

Neither the address, which may hold a token, nor a secret is in what is raised or returned.
"""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime
from importlib.metadata import version

from tasks.errors import NotDelivered
from workers.http_client import RequestFailed, post

GONE = 410
# A receiver that asks to be left alone for longer is tried again after a day.
LONGEST_WAIT_SECONDS = 86_400.0
SHOWN_BYTES = 500


class Webhook:
    """A receiver at `url`, which is called `name`; what it is sent is signed with each of `secrets` (`whsec_…`), and it
    has `seconds` to answer."""

    def __init__(self, name: str, url: str, secrets: tuple[str, ...], *, seconds: float) -> None:
        self.name = name
        self._url, self._secrets, self._seconds = url, secrets, seconds

    def send(self, event_id: str, body: str) -> str:
        """The answer in a line, where it is a success (2xx). Raises `NotDelivered`."""
        moment = datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"redraft/{version('redraft')}",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": " ".join(self._signatures(event_id, moment, body)),
        }
        try:
            answer = post(
                self._url, content=body.encode(), headers=headers, seconds=self._seconds, most_bytes=SHOWN_BYTES
            )
        except RequestFailed as error:
            raise NotDelivered(str(error)) from error
        if 200 <= answer.status < 300:
            return " ".join(f"{answer.line} {answer.text}".split())
        wait = _retry_after(answer.headers.get("retry-after", ""), moment)
        redirect = ", and redirects are not followed" if 300 <= answer.status < 400 else ""
        raise NotDelivered(f"{answer.line}{redirect}", seconds=wait, final=answer.status == GONE)

    def _signatures(self, event_id: str, moment: datetime, body: str) -> list[str]:
        from standardwebhooks.webhooks import Webhook as Signer

        return [Signer(secret).sign(event_id, moment, body) for secret in self._secrets]


def _retry_after(value: str, now: datetime) -> float:
    """Seconds of a Retry-After, which is a number or a date; 0 where it is neither."""
    if value.strip().isdecimal():
        return min(LONGEST_WAIT_SECONDS, float(value))
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(LONGEST_WAIT_SECONDS, max(0.0, (until - now).total_seconds()))

"""One-time links, sessions, wrong passwords: who sees the page."""

from __future__ import annotations

from dataclasses import dataclass, field

from tasks.errors import DatabaseUnavailable
from tests.board import ScriptedClient
from workers.ui.access import IDLE_SECONDS, MOST_SESSIONS, MOST_WRONG, WRONG_SECONDS, Attempts, Sessions, sign_in
from workers.ui.entry import login_url
from workers.ui.links import LINK_SECONDS, LinkKeys, make_link_key


@dataclass(slots=True)
class Clock:
    """A clock that a test sets."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        """Its time."""
        return self.now


@dataclass(slots=True)
class Logins:
    """Postgres's side of signing in: which addresses it refuses, and which clients are still open."""

    refused: set[str] = field(default_factory=set)
    open: list[Closing] = field(default_factory=list)

    def __call__(self, url: str) -> Closing:
        """The client of a login."""
        if url in self.refused:
            raise DatabaseUnavailable("password authentication failed")
        self.open.append(Closing(self))
        return self.open[-1]


class Closing(ScriptedClient):
    """A client that says when it was closed."""

    def __init__(self, logins: Logins) -> None:
        super().__init__()
        self._logins = logins

    def close(self) -> None:
        """It was."""
        self._logins.open.remove(self)


def sessions(clock: Clock, logins: Logins | None = None) -> Sessions:
    return Sessions(clock, logins or Logins())  # type: ignore[arg-type]


def test_a_link_opens_the_page_once() -> None:
    clock = Clock()
    links, key = LinkKeys("secret", clock), make_link_key("secret", clock.now)
    assert links.use(key)
    assert not links.use(key)


def test_a_page_that_was_started_again_takes_no_link_of_before() -> None:
    clock = Clock()
    key = make_link_key("secret", clock.now)
    assert LinkKeys("secret", clock).use(key)
    clock.now += 2
    assert not LinkKeys("secret", clock).use(key)


def test_a_link_runs_out() -> None:
    clock = Clock()
    links, key = LinkKeys("secret", clock), make_link_key("secret", clock.now)
    clock.now += LINK_SECONDS + 1
    assert not links.use(key)


def test_a_link_of_another_stack_or_a_changed_one_opens_nothing() -> None:
    clock = Clock()
    links, key = LinkKeys("secret", clock), make_link_key("another", clock.now)
    longer = make_link_key("secret", clock.now).replace(str(int(clock.now + LINK_SECONDS)), "9999999999")
    assert not any(links.use(text) for text in (key, longer, "", ".", "1-a.b", "x" * 5000, "\u2603.\u2603"))


def test_without_a_secret_no_link_opens_anything() -> None:
    assert not LinkKeys("", Clock()).use(make_link_key("", 1_000_000.0))


def test_sessions_of_one_login_share_its_connections_until_the_last_has_signed_out() -> None:
    logins = Logins()
    kept = sessions(Clock(), logins)
    first, second = kept.open("a"), kept.open("a")
    one, two = kept.find(first), kept.find(second)
    assert one is not None
    assert two is not None
    assert one.client is two.client
    assert one.token != two.token
    kept.close(first)
    assert len(logins.open) == 1
    kept.close(second)
    assert not logins.open
    assert kept.find(second) is None


def test_a_session_that_nobody_has_open_runs_out_and_one_that_is_open_does_not() -> None:
    clock = Clock()
    kept = sessions(clock)
    left, used = kept.open("a"), kept.open("b")
    clock.now += IDLE_SECONDS - 1
    assert kept.find(used) is not None
    clock.now += 2
    assert kept.find(left) is None
    assert kept.find(used) is not None


def test_of_too_many_sessions_the_one_unused_for_longest_goes() -> None:
    clock = Clock()
    kept = sessions(clock)
    names = []
    for _ in range(MOST_SESSIONS + 1):
        clock.now += 1
        names.append(kept.open("a"))
    assert kept.find(names[0]) is None
    assert kept.find(names[1]) is not None


def test_after_some_wrong_passwords_nobody_may_try_for_a_while() -> None:
    clock, logins = Clock(), Logins(refused={"wrong"})
    attempts, kept = Attempts(clock), sessions(clock, logins)
    for _ in range(MOST_WRONG):
        assert attempts.may_try()
        assert sign_in(kept, attempts, "wrong") is None
    assert not attempts.may_try()
    clock.now += WRONG_SECONDS + 1
    assert attempts.may_try()


def test_a_login_goes_to_the_same_database_whatever_it_contains() -> None:
    assert login_url("postgresql+psycopg://a:b@h:5/db?x=1", "o'b/@:#", "p@:/?#") == (
        "postgresql+psycopg://o%27b%2F%40%3A%23:p%40%3A%2F%3F%23@h:5/db?x=1"
    )

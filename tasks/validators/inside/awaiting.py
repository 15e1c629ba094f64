"""Awaits objects of the other process. Must not know what is awaited."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from .peer import Peer


class _Loop:
    """The event loop of this process on which awaitables are awaited for the other side: the last loop that awaited an
    object of the other side, or else one in a thread of its own."""

    running: asyncio.AbstractEventLoop | None = None


def result_of(awaitable: Any) -> Any:
    """The result of an awaitable of this process, awaited on its event loop. Raises what it raises."""
    import asyncio

    async def awaited() -> Any:
        return await awaitable

    loop = _Loop.running
    if loop is None or not loop.is_running():
        loop = _Loop.running = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
    return asyncio.run_coroutine_threadsafe(awaited(), loop).result()


async def await_other(peer: Peer, proxy: Any) -> Any:
    """The result of an awaitable of the other process; the event loop is not blocked meanwhile."""
    import asyncio

    loop = asyncio.get_running_loop()
    _Loop.running = loop
    succeeded, result = await loop.run_in_executor(None, _outcome, peer, proxy)
    if succeeded:  # a future can't carry StopIteration
        return result
    raise result


def _outcome(peer: Peer, proxy: Any) -> tuple[bool, Any]:
    try:
        return True, peer.request("await", proxy)
    except BaseException as error:  # noqa: BLE001 - `await_other` raises it again
        return False, error

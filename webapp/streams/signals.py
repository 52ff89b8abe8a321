"""One-shot wake-ups: something happened, look for yourself.

A ``Signal`` carries no data, so a slow waiter costs nothing and can miss nothing: take the signal, then look
at the state, then wait. One waiter may wait for several signals and a time-out with a single future and no
task.
"""

from __future__ import annotations

import asyncio


class Signal:
    """Fires once; any number of tasks of one event loop may wait for it."""

    __slots__ = ("__weakref__", "_waiters", "fired")

    def __init__(self) -> None:
        self.fired = False
        self._waiters: set[asyncio.Future[None]] = set()

    def fire(self) -> None:
        """Wake everyone who waits, and whoever comes later at once."""
        self.fired = True
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            _wake(waiter)

    def join(self, waiter: asyncio.Future[None]) -> None:
        self._waiters.add(waiter)

    def leave(self, waiter: asyncio.Future[None]) -> None:
        self._waiters.discard(waiter)


async def first(*signals: Signal, seconds: float | None = None) -> bool:
    """Wait until one of ``signals`` has fired. False if ``seconds`` went by before that."""
    for signal in signals:
        if signal.fired:
            return True
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    timer = None if seconds is None else loop.call_later(seconds, _wake, waiter)
    for signal in signals:
        signal.join(waiter)
    fired = False
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()
        for signal in signals:
            signal.leave(waiter)
            fired = fired or signal.fired
    return fired


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)

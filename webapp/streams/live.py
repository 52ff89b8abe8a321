"""Live replies: how a read goes on after the tail, as long-poll or as server-sent events.

Owns waiting and framing. The order is always ticket, read, wait: what is appended between the read and the
wait has fired the ticket already.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Generic, Protocol, TypeVar

from webapp.streams.limits import Drain, StreamLimits
from webapp.streams.protocol import cursors, sse
from webapp.streams.protocol.errors import StreamError
from webapp.streams.signals import Signal, first

MAX_FRAMES = 256
MAX_FRAME = 64 * 1024

LIFETIME_SPREAD = 0.1


class LivePage(Protocol):
    """What a live reply must know of a page, wherever it was read. ``str()`` gives its offsets."""

    @property
    def start(self) -> object: ...
    @property
    def next(self) -> object: ...
    @property
    def content_type(self) -> str: ...
    @property
    def empty(self) -> bool: ...
    @property
    def up_to_date(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    def body(self) -> bytes: ...


P = TypeVar("P", bound=LivePage)
P_contra = TypeVar("P_contra", contravariant=True)


class Framing(Protocol[P_contra]):
    """Makes frames of pages."""

    def frame(self, page: P_contra, *, cursor: str) -> bytes: ...


class Frames:
    """The frames sent last, so that all readers of a stream share one encoding."""

    def __init__(self, capacity: int = MAX_FRAMES) -> None:
        self._capacity = capacity
        self._frames: OrderedDict[tuple[str, str, str, bool, bool], bytes] = OrderedDict()
        self._last: tuple[LivePage | None, str, bytes] = (None, "", b"")

    def frame(self, page: LivePage, *, cursor: str) -> bytes:
        """A page as one ``data`` event (unless it is empty) and its ``control`` event."""
        # Readers who are woken together ask for the same page one after the other.
        last_page, last_cursor, frame = self._last
        if last_page is not page or last_cursor != cursor:
            frame = self._found(page, cursor)
            self._last = (page, cursor, frame)
        return frame

    def _found(self, page: LivePage, cursor: str) -> bytes:
        key = (str(page.start), str(page.next), cursor, page.up_to_date, page.closed)
        frame = self._frames.get(key)
        if frame is None:
            frame = _encode(page, cursor)
            if len(frame) <= MAX_FRAME:
                self._frames[key] = frame
            if len(self._frames) > self._capacity:
                self._frames.popitem(last=False)
        return frame


def _encode(page: LivePage, cursor: str) -> bytes:
    control = sse.control(
        next_offset=str(page.next),
        cursor=None if page.closed else cursor,
        up_to_date=page.up_to_date,
        closed=page.closed,
    )
    if page.empty:
        return control
    return sse.data(page.body(), encode=sse.is_base64(page.content_type)) + control


@dataclass(slots=True, kw_only=True)
class Follower(Generic[P]):
    """One reader at one place of one stream, and the means to read on.

    ``read_on`` gives the page after a page; ``ticket`` the wake-up to take before it.
    """

    read_on: Callable[[P], Awaitable[P]]
    ticket: Callable[[], Signal]
    limits: StreamLimits
    drain: Drain
    clock: Callable[[], float]
    rng: Random
    frames: Framing[P]
    seen: str | None
    """The cursor the reader came with."""
    _sent: str | None = None
    _sent_until: float = 0.0

    def next_cursor(self) -> str:
        """The cursor for the next reply: never the one the reader came with, and never going back."""
        now = self.clock()
        if self._sent is None:
            self._sent = cursors.cursor(now, seen=self.seen, rng=self.rng)
        elif now >= self._sent_until:
            self._sent = cursors.later(now, self._sent)
        else:
            return self._sent
        self._sent_until = cursors.next_interval(now)
        return self._sent

    async def poll(self, ticket: Signal, page: P) -> P:
        """Wait for data after an empty ``page`` until the long-poll time-out; return the last page read."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.limits.long_poll_timeout
        while page.empty and not page.closed:
            if not await first(ticket, self.drain, seconds=ends - loop.time()) or self.drain.is_set():
                break
            ticket = self.ticket()
            page = await self.read_on(page)
        return page

    async def events(self, ticket: Signal, page: P) -> AsyncGenerator[bytes, None]:
        """Frames from ``page`` on, until the stream ends or goes away, time is up, or the server drains."""
        loop = asyncio.get_running_loop()
        spread = self.rng.uniform(1 - LIFETIME_SPREAD, 1 + LIFETIME_SPREAD)
        ends = loop.time() + self.limits.sse_lifetime * spread
        yield self._frame(page)
        while not page.closed and loop.time() < ends:
            pause = min(self.limits.ping_interval, ends - loop.time())
            if page.up_to_date and not await first(ticket, self.drain, seconds=pause):
                yield sse.PING
                continue
            ticket = self.ticket()
            try:
                page = await self.read_on(page)
            except StreamError:
                return
            draining = self.drain.is_set()
            if not page.empty or page.closed or draining:
                yield self._frame(page)
            if draining:
                return

    def _frame(self, page: P) -> bytes:
        return self.frames.frame(page, cursor=self.next_cursor())

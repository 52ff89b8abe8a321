"""Live replies: how a read goes on after the tail, as long-poll or as server-sent events.

Owns waiting and framing. The order is always ticket, read, wait: what is appended between the read and the
wait has fired the ticket already.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from random import Random

from webapp.streams.limits import Drain, StreamLimits
from webapp.streams.protocol import content, cursors, sse
from webapp.streams.protocol.errors import StreamError
from webapp.streams.protocol.offsets import Where
from webapp.streams.signals import Signal, first
from webapp.streams.store.base import Page

MAX_FRAMES = 256
MAX_FRAME = 64 * 1024

LIFETIME_SPREAD = 0.1


class Frames:
    """The frames sent last, so that all readers of a stream share one encoding."""

    def __init__(self) -> None:
        self._frames: OrderedDict[tuple[str, str, str, bool, bool], bytes] = OrderedDict()

    def frame(self, page: Page, *, cursor: str) -> bytes:
        """A page as one ``data`` event (unless it is empty) and its ``control`` event."""
        key = (str(page.start), str(page.next), cursor, page.up_to_date, page.closed)
        frame = self._frames.get(key)
        if frame is None:
            frame = _encode(page, cursor)
            if len(frame) <= MAX_FRAME:
                self._frames[key] = frame
            if len(self._frames) > MAX_FRAMES:
                self._frames.popitem(last=False)
        return frame


def _encode(page: Page, cursor: str) -> bytes:
    control = sse.control(
        next_offset=str(page.next),
        cursor=None if page.closed else cursor,
        up_to_date=page.up_to_date,
        closed=page.closed,
    )
    if not page.chunks:
        return control
    payload = content.body(page.chunks, json=page.record.is_json)
    return sse.data(payload, encode=sse.is_base64(page.record.content_type)) + control


@dataclass(slots=True, kw_only=True)
class Follower:
    """One reader at one place of one stream, and the means to read on.

    ``read`` gives the page after an offset; ``ticket`` the wake-up to take before it.
    """

    read: Callable[[Where], Awaitable[Page]]
    ticket: Callable[[], Signal]
    limits: StreamLimits
    drain: Drain
    clock: Callable[[], float]
    rng: Random
    frames: Frames
    seen: str | None
    """The cursor the reader came with."""
    _sent: str | None = None

    def next_cursor(self) -> str:
        """The cursor for the next reply: never the one the reader came with, and never going back."""
        now = self.clock()
        if self._sent is None:
            self._sent = cursors.cursor(now, seen=self.seen, rng=self.rng)
        else:
            self._sent = cursors.later(now, self._sent)
        return self._sent

    async def poll(self, ticket: Signal, page: Page) -> Page:
        """Wait for data after an empty ``page`` until the long-poll time-out; return the last page read."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self.limits.long_poll_timeout
        while not page.chunks and not page.closed:
            if not await first(ticket, self.drain, seconds=ends - loop.time()) or self.drain.is_set():
                break
            ticket = self.ticket()
            page = await self.read(page.next)
        return page

    async def events(self, ticket: Signal, page: Page) -> AsyncIterator[bytes]:
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
                page = await self.read(page.next)
            except StreamError:
                return
            draining = self.drain.is_set()
            if page.chunks or page.closed or draining:
                yield self._frame(page)
            if draining:
                return

    def _frame(self, page: Page) -> bytes:
        return self.frames.frame(page, cursor=self.next_cursor())

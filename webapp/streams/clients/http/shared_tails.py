"""One live read of another server per stream, shared by everyone in this process who follows that stream.

Owns when such a tail begins, how long it outlives its last reader, and how a reader comes to it: alone until
they are up to date, with the others from then on. Must not know what readers do with the pages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from webapp.streams.clients.http import remote_page
from webapp.streams.clients.http.following import Following
from webapp.streams.clients.http.patience import Patience
from webapp.streams.clients.http.recent_pages import RecentPages
from webapp.streams.clients.http.remote_page import RemotePage
from webapp.streams.clients.http.upstream import Call, Upstream
from webapp.streams.live import Frames
from webapp.streams.protocol import names
from webapp.streams.protocol.errors import StreamError, StreamsUnavailable
from webapp.streams.signals import Signal

logger = logging.getLogger(__name__)

_FRAMES = 32
"""Readers of one tail are never far apart."""


@dataclass(slots=True, eq=False, kw_only=True)
class _Tail:
    path: str
    pages: RecentPages
    following: Following
    frames: Frames = field(default_factory=lambda: Frames(_FRAMES))
    readers: int = 0
    lingering: asyncio.TimerHandle | None = None


class SharedTails:
    """The tails of a process: one per stream that is followed, or was a moment ago."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        patience: Patience,
        rng: Random,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._upstream = upstream
        self._patience = patience
        self._rng = rng
        self._sleep = sleep
        self._tails: dict[str, _Tail] = {}
        self._tasks: dict[_Tail, asyncio.Task[None]] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._tails)

    async def read(self, path: str, offset: str) -> RemotePage:
        """One page from the server. Raises StreamErrors."""
        query = ((names.QUERY_OFFSET, offset),)
        reply = await self._upstream.call(Call(method="GET", path=path, query=query))
        return remote_page.from_reply(offset, reply.headers, reply.body)

    def known(self, path: str, offset: str) -> RemotePage | None:
        """What ``read`` would return, if that can be told without asking the server."""
        tail = self._tails.get(path)
        return tail.pages.at(offset) if tail is not None and tail.following.connected else None

    def reader(self, path: str) -> TailReader:
        """Somebody who wants to follow ``path``. They have to ``leave``."""
        return TailReader(self, path)

    def enter(self, path: str, page: RemotePage) -> _Tail:
        """The tail of ``path``, begun after ``page`` if there is none, with one more reader.

        Raises StreamsUnavailable once closed.
        """
        if self._closed:
            raise _over()
        tail = self._tails.get(path) or self._begin(path, page)
        tail.readers += 1
        if tail.lingering is not None:
            tail.lingering.cancel()
            tail.lingering = None
        return tail

    def leave(self, tail: _Tail) -> None:
        """One reader less; the last one leaves the tail to linger."""
        tail.readers -= 1
        if not tail.readers and tail in self._tasks:
            loop = asyncio.get_running_loop()
            tail.lingering = loop.call_later(self._patience.linger, self._drop, tail)

    async def aclose(self) -> None:
        """End every tail and begin no more. Readers are told that the server is unavailable."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, path: str, page: RemotePage) -> _Tail:
        pages = RecentPages(page.next, content_type=page.content_type, keep=self._patience.recent)
        following = Following(
            self._upstream,
            path,
            offset=page.next,
            content_type=page.content_type,
            publish=pages.push,
            patience=self._patience,
            rng=self._rng,
            sleep=self._sleep,
        )
        tail = self._tails[path] = _Tail(path=path, pages=pages, following=following)
        task = self._tasks[tail] = asyncio.create_task(following.run())
        task.add_done_callback(lambda task: self._ended(tail, task))
        return tail

    def _drop(self, tail: _Tail) -> None:
        del self._tails[tail.path]
        self._tasks[tail].cancel()

    def _ended(self, tail: _Tail, task: asyncio.Task[None]) -> None:
        """Whoever comes from now on begins a new one."""
        del self._tasks[tail]
        if self._tails.get(tail.path) is tail:
            del self._tails[tail.path]
        if tail.lingering is not None:
            tail.lingering.cancel()
        error = _over() if task.cancelled() else task.exception()
        if isinstance(error, StreamError):
            tail.pages.end(error)
        elif error is not None:
            logger.error("the tail of a stream broke", exc_info=error)
            tail.pages.end(_over())


def _over() -> StreamsUnavailable:
    return StreamsUnavailable("The stream is not being followed.")


class TailReader:
    """One reader of a stream: asks the server until they are up to date, and reads with the others then."""

    def __init__(self, tails: SharedTails, path: str) -> None:
        self._tails = tails
        self._path = path
        self._tail: _Tail | None = None
        self._own_frames = Frames(1)
        self._now = Signal()
        self._now.fire()

    def ticket(self) -> Signal:
        """A wake-up for the next change. Take it before reading on."""
        return self._now if self._tail is None else self._tail.pages.ticket()

    async def read_on(self, page: RemotePage) -> RemotePage:
        """The page after ``page``, empty if there is none yet. Raises StreamErrors."""
        if self._tail is None and page.up_to_date:
            self._tail = self._tails.enter(self._path, page)
        found = None if self._tail is None else self._tail.pages.after(page.next)
        return await self._tails.read(self._path, page.next) if found is None else found

    def frame(self, page: RemotePage, *, cursor: str) -> bytes:
        """``page`` as it is sent to a live reader, encoded once for all who read along."""
        frames = self._own_frames if self._tail is None else self._tail.frames
        return frames.frame(page, cursor=cursor)

    def leave(self) -> None:
        """Whoever began to read says when they have done, however it ended."""
        if self._tail is not None:
            self._tails.leave(self._tail)
            self._tail = None

"""The Durable Streams server without sockets: a WireRequest in, a WireResponse out.

Owns the order of parsing, storing and answering. The rules are ``protocol``'s, the data is the store's,
waiting is ``live``'s. Anything a caller did wrong comes back as a response; an exception out of here is a
bug.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random
from typing import TypeVar

from webapp.streams.limits import Drain, StreamLimits
from webapp.streams.live import Follower, Frames
from webapp.streams.protocol import commands, paths, replies
from webapp.streams.protocol.commands import BodyLimits, Live
from webapp.streams.protocol.errors import PayloadTooLarge, StreamError
from webapp.streams.protocol.offsets import Tail, Where
from webapp.streams.store.base import Page, PageLimit, StreamStore
from webapp.streams.wire import WireRequest, WireResponse

LARGE_BODY = 256 * 1024
"""Bodies above this are parsed on a thread: it would hold up every other reader."""

Command = TypeVar("Command")


class Engine:
    """The protocol over a store. ``clock`` gives Unix seconds; ``drain`` ends live replies when it is set."""

    def __init__(
        self,
        store: StreamStore,
        *,
        limits: StreamLimits | None = None,
        clock: Callable[[], float] = time.time,
        drain: Drain | None = None,
        rng: Random | None = None,
    ) -> None:
        self.store = store
        self.limits = limits or StreamLimits()
        self.drain = drain or Drain()
        self._clock = clock
        self._rng = rng or Random()  # noqa: S311  (spreads load, guards nothing)
        self._frames = Frames()
        self._page = PageLimit(size=self.limits.page_bytes, units=self.limits.page_messages)
        self._body = BodyLimits(
            max_messages=self.limits.max_messages_per_append, max_depth=self.limits.max_json_depth
        )
        self._methods = {
            "GET": self._get,
            "HEAD": self._head,
            "PUT": self._put,
            "POST": self._post,
            "DELETE": self._delete,
        }

    async def handle(self, request: WireRequest) -> WireResponse:
        """Answer one request. The body of an SSE reply is an iterator of frames; the caller closes it."""
        answer = self._methods.get(request.method)
        if answer is None:
            return replies.method_not_allowed()
        try:
            paths.check(request.path)
            return await answer(request)
        except StreamError as refusal:
            return replies.refused(refusal)

    def read(self, path: str, where: Where) -> Awaitable[Page]:
        """One page, bounded as a reply is. Raises as the store does."""
        return self.store.read(path, where, limit=self._page)

    def _read_on(self, path: str, page: Page) -> Awaitable[Page]:
        return self.store.read(path, page.next, limit=self._page)

    async def _head(self, request: WireRequest) -> WireResponse:
        return replies.described(await self.store.head(request.path))

    async def _delete(self, request: WireRequest) -> WireResponse:
        await self.store.delete(request.path)
        return replies.deleted()

    async def _put(self, request: WireRequest) -> WireResponse:
        command = await self._parsed(commands.parse_create, request)
        outcome = await self.store.create(request.path, command)
        return replies.created(outcome.record, new=outcome.new)

    async def _post(self, request: WireRequest) -> WireResponse:
        command = await self._parsed(commands.parse_append, request)
        outcome = await self.store.append(request.path, command)
        return replies.appended(
            outcome.record,
            outcome.producer,
            duplicate=outcome.duplicate,
            close_only=not command.chunk,
        )

    async def _get(self, request: WireRequest) -> WireResponse:
        read = commands.parse_read(request)
        ticket = self.store.ticket(request.path)
        page = await self.read(request.path, read.where)
        if page.record.lifetime.ttl is not None:
            await self.store.touch(request.path)
        if read.live is Live.NO:
            return replies.page(
                page.record,
                page.chunks,
                start=page.start,
                end=page.next,
                cacheable=not isinstance(read.where, Tail),
                if_none_match=read.if_none_match,
            )
        follower: Follower[Page] = Follower(
            read_on=partial(self._read_on, request.path),
            ticket=partial(self.store.ticket, request.path),
            limits=self.limits,
            drain=self.drain,
            clock=self._clock,
            rng=self._rng,
            frames=self._frames,
            seen=read.cursor,
        )
        if read.live is Live.SSE:
            headers = replies.event_stream(page.content_type)
            return WireResponse(status=200, headers=headers, body=follower.events(ticket, page))
        page = await follower.poll(ticket, page)
        cursor = follower.next_cursor()
        if not page.chunks:
            return replies.nothing_yet(page.record, cursor=cursor)
        return replies.page(
            page.record, page.chunks, start=page.start, end=page.next, cacheable=True, cursor=cursor
        )

    async def _parsed(
        self, parse: Callable[[WireRequest, BodyLimits], Command], request: WireRequest
    ) -> Command:
        if len(request.body) > self.limits.max_append_bytes:
            raise PayloadTooLarge(f"One append holds at most {self.limits.max_append_bytes} bytes.")
        if len(request.body) > LARGE_BODY:
            return await asyncio.to_thread(parse, request, self._body)
        return parse(request, self._body)

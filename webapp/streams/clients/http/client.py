"""A StreamClient for a stream server elsewhere, over HTTP.

``append`` and its like are one request each. ``forward`` passes the server's replies on as they are, but for
live SSE, which is served from here: all readers of a stream share one live read of the server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from random import Random
from urllib.parse import quote

import httpx

from webapp.streams.clients.base import BEGINNING, AppendReceipt, ReadPage
from webapp.streams.clients.http import raw_reply, remote_page
from webapp.streams.clients.http.patience import Patience
from webapp.streams.clients.http.refusals import Reply, Transient
from webapp.streams.clients.http.remote_page import RemotePage
from webapp.streams.clients.http.shared_tails import SharedTails, TailReader
from webapp.streams.clients.http.upstream import Call, Upstream
from webapp.streams.limits import Drain, StreamLimits
from webapp.streams.live import Follower
from webapp.streams.protocol import commands, json_mode, names, offsets, replies
from webapp.streams.protocol.commands import Live, ReadQuery
from webapp.streams.protocol.content import media_type
from webapp.streams.protocol.errors import (
    InvalidRequest,
    PayloadTooLarge,
    StreamConflict,
    StreamError,
    StreamGone,
    StreamNotFound,
    StreamsUnavailable,
)
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.signals import first
from webapp.streams.wire import WireRequest, WireResponse

_HEADER_SAFE = "!#$&'()*+,/:;=?@[]^_`{|}~"


class HttpStreamClient:
    """The JSON streams of the server at ``base_url``, such as ``http://host:4437/v1/stream``.

    ``limits`` are those of our own live replies, ``patience`` those of the server's. ``clock`` gives Unix
    seconds; ``drain`` ends live replies when it is set. ``headers`` go with every request. Raises ValueError
    for an address, a token or a header that cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        read_token: str = "",
        write_token: str = "",
        headers: dict[str, str] | None = None,
        limits: StreamLimits | None = None,
        patience: Patience | None = None,
        drain: Drain | None = None,
        clock: Callable[[], float] = time.time,
        rng: Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._limits = limits or StreamLimits()
        self._patience = patience or Patience()
        self._drain = drain or Drain()
        self._clock = clock
        self._rng = rng or Random()  # noqa: S311  (spreads load, guards nothing)
        self._sleep = sleep
        self._upstream = Upstream(
            base_url,
            read_token=read_token,
            write_token=write_token,
            headers=headers,
            patience=self._patience,
            rng=self._rng,
            sleep=sleep,
            transport=transport,
        )
        self._tails = SharedTails(self._upstream, patience=self._patience, rng=self._rng, sleep=sleep)
        self._closed = False

    @property
    def tails(self) -> int:
        """How many live reads of the server are held."""
        return len(self._tails)

    async def ensure(self, path: str, *, content_type: str = names.JSON, ttl: int | None = None) -> str:
        headers = {names.CONTENT_TYPE: content_type}
        if ttl is not None:
            headers[names.STREAM_TTL] = str(ttl)
        try:
            reply = await self._upstream.call(Call(method="PUT", path=path, headers=headers))
        except StreamConflict:
            # A fork is there, and not as it would be made here.
            reply = await self._upstream.call(Call(method="HEAD", path=path))
            closed = reply.header(names.STREAM_CLOSED)
            if closed or media_type(reply.header(names.CONTENT_TYPE) or "") != content_type:
                raise
        return await self._tail_of(path, reply)

    async def append(
        self,
        path: str,
        messages: Sequence[bytes],
        *,
        producer: ProducerTuple | None = None,
        close: bool = False,
    ) -> AppendReceipt:
        chunk = json_mode.pack(messages)
        if not chunk and not close:
            raise InvalidRequest("There is nothing to append.")
        if len(chunk) > self._limits.max_append_bytes:
            raise PayloadTooLarge(f"One append holds at most {self._limits.max_append_bytes} bytes.")
        headers = {names.CONTENT_TYPE: names.JSON, **_producer_headers(producer)}
        if close:
            headers[names.STREAM_CLOSED] = names.TRUE
        body = json_mode.array([chunk]) if chunk else b""
        # Whoever gave it a producer's number repeats it, and has to know of every try without an answer.
        call = Call(method="POST", path=path, headers=headers, body=body)
        reply = await self._upstream.call(call, repeatable=False)
        # A producer's append is 200 when it was new; without a producer nobody could tell.
        duplicate = producer is not None and bool(chunk) and reply.status == 204
        return AppendReceipt(await self._tail_of(path, reply), duplicate)

    async def read(self, path: str, *, offset: str = BEGINNING) -> ReadPage:
        return (await self._tails.read(path, offset)).read_page()

    async def tail(self, path: str, *, offset: str) -> AsyncGenerator[ReadPage, None]:
        reader = self._tails.reader(path)
        try:
            ticket = reader.ticket()
            page = await self._insist(partial(self._tails.read, path, offset), reader)
            while page is not None:
                if not page.empty or page.closed:
                    yield page.read_page()
                if page.closed:
                    return
                if page.up_to_date:
                    await first(ticket, self._drain)
                ticket = reader.ticket()
                page = await self._insist(partial(reader.read_on, page), reader)
        finally:
            reader.leave()

    async def forward(self, request: WireRequest) -> WireResponse:
        if request.method not in ("GET", "HEAD"):
            return replies.method_not_allowed()
        try:
            pause = None
            if request.method == "GET":
                query = commands.parse_query(request)
                if query.live is Live.SSE:
                    return await self._live(request.path, query)
                if query.live is Live.LONG_POLL:
                    pause = self._patience.poll
            return await raw_reply.pass_on(self._upstream, request, pause=pause, held=self._patience.held)
        except StreamError as refusal:
            return replies.refused(refusal)

    async def fork(self, source: str, target: str, *, offset: str | None = None, sub_offset: int = 0) -> str:
        headers = {names.STREAM_FORKED_FROM: self._upstream.url_path(source)}
        if offset is not None:
            # Servers take only real offsets here, and all of them begin at the same one.
            headers[names.STREAM_FORK_OFFSET] = str(offsets.START) if offset == BEGINNING else offset
        if sub_offset:
            headers[names.STREAM_FORK_SUB_OFFSET] = str(sub_offset)
        reply = await self._upstream.call(Call(method="PUT", path=target, headers=headers))
        return await self._tail_of(target, reply)

    async def delete(self, path: str) -> None:
        call = Call(method="DELETE", path=path)
        try:
            await self._upstream.call(call, repeatable=False)
        except Transient as trouble:
            if trouble.undone:
                raise
            # It may have been done, and then the next try finds nothing.
            with suppress(StreamNotFound, StreamGone):
                await self._upstream.call(call)

    async def aclose(self) -> None:
        """End live reads and close every connection. Those who follow a stream get no further page."""
        self._closed = True
        await self._tails.aclose()
        await self._upstream.aclose()

    async def _live(self, path: str, query: ReadQuery) -> WireResponse:
        """SSE from here, begun with a page that the server gives or that is known from others' reading."""
        assert query.offset is not None
        page = self._tails.known(path, query.offset)
        if page is None:
            call = Call(method="GET", path=path, query=((names.QUERY_OFFSET, query.offset),))
            reply = await self._upstream.patiently(partial(self._upstream.ask, call))
            if reply.status != 200:
                return raw_reply.passed(reply)
            page = remote_page.from_reply(query.offset, reply.headers, reply.body)
        return WireResponse(
            status=200,
            headers=replies.event_stream(page.content_type),
            body=self._events(path, page, query.cursor),
        )

    async def _events(self, path: str, page: RemotePage, cursor: str | None) -> AsyncIterator[bytes]:
        reader = self._tails.reader(path)
        follower = Follower(
            read_on=reader.read_on,
            ticket=reader.ticket,
            limits=self._limits,
            drain=self._drain,
            clock=self._clock,
            rng=self._rng,
            frames=reader,
            seen=cursor,
        )
        try:
            async with aclosing(follower.events(reader.ticket(), page)) as frames:
                async for frame in frames:
                    yield frame
        finally:
            reader.leave()

    async def _insist(
        self, read: Callable[[], Awaitable[RemotePage]], reader: TailReader
    ) -> RemotePage | None:
        """What ``read`` gives, however long the server is away; None when there is no time left."""
        failures = 0
        while not self._drain.is_set() and not self._closed:
            try:
                return await read()
            except StreamsUnavailable as trouble:
                reader.leave()
                failures += 1
                retry = self._patience.reconnect
                await self._sleep(retry.delay(failures, floor=trouble.retry_after, rng=self._rng))
        return None

    async def _tail_of(self, path: str, reply: Reply) -> str:
        """The tail offset a reply tells. Some servers leave it out when an append was a duplicate."""
        offset = reply.header(names.STREAM_NEXT_OFFSET)
        if not offset:
            head = await self._upstream.call(Call(method="HEAD", path=path))
            offset = head.header(names.STREAM_NEXT_OFFSET)
        if not offset:
            raise remote_page.no_protocol()
        return offset


def _producer_headers(producer: ProducerTuple | None) -> dict[str, str]:
    if producer is None:
        return {}
    return {
        # An id may hold anything, a header may not.
        names.PRODUCER_ID: quote(producer.id, safe=_HEADER_SAFE),
        names.PRODUCER_EPOCH: str(producer.epoch),
        names.PRODUCER_SEQ: str(producer.seq),
    }

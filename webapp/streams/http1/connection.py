"""One HTTP/1.1 connection: requests in, one reply after the other out.

Owns framing, order and the manners of a socket: a client that has gone is noticed, one that does not read is
waited for in bounded memory. Parsing is httptools'; what is replied is the site's; when time is up is told by
the server's clock.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from webapp.streams.http1 import heads
from webapp.streams.http1.site import Site
from webapp.streams.limits import Slot, SlotsExhausted
from webapp.streams.protocol.errors import StreamError
from webapp.streams.service import too_many_readers
from webapp.streams.wire import RequestHead, WireResponse

logger = logging.getLogger(__name__)

SLICE = 64 * 1024
"""The most that is handed to the transport at once; the next slice waits until this one is on its way."""

MAX_HEAD = 64 * 1024
FIELD_OVERHEAD = 32  # as HTTP/2 counts it
SMALL_BODY = 64 * 1024
"""A refused body of up to this size is read to its end, and the connection goes on."""

NEVER = float("inf")
GOODBYE = 2.0
"""Seconds to read what a client still sends after it has been refused, so that it sees why."""

_LARGE_FRAME = 4096
_CRUMB = 1024
_BODYLESS = (204, 304)


class House(Protocol):
    """What connections share."""

    site: Site
    common: str
    """Header lines of every reply but the date."""
    date: str
    write_timeout: float
    head_timeout: float
    body_timeout: float
    keep_alive: float
    stopping: bool

    def time(self) -> float: ...
    def enter(self, connection: Connection) -> None: ...
    def leave(self, connection: Connection) -> None: ...
    def crowded(self) -> bool: ...


@dataclass(slots=True)
class _Exchange:
    """A request that is answered in its turn; ``reply`` is set if its body does not matter."""

    head: RequestHead
    body: bytes
    reply: WireResponse | None
    persist: bool
    chunks: bool


class Connection(asyncio.Protocol):
    """A connection with a client, from its first byte to its last."""

    __slots__ = (
        "_bodies", "_client", "_drained", "_early", "_ended", "_fields", "_head", "_house", "_ignoring",
        "_parser", "_queue", "_size", "_slot", "_task", "_transport", "_unheard", "_url", "reading_until",
        "writing_until",
    )  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, house: House) -> None:
        self._house = house
        self._client = ""
        self._parser = httptools.HttpRequestParser(self)
        self._queue: list[_Exchange] = []
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._slot: Slot | None = None
        self._ignoring = False
        self._ended = False  # the client sends nothing more
        self._unheard = 0  # bytes since the parser found anything whole
        self._url = b""
        self._fields: dict[str, str] = {}
        self._head: RequestHead | None = None
        self._early: WireResponse | None = None
        self._bodies: list[bytes] = []
        self._size = 0
        self.reading_until = NEVER
        """Loop time by which the client must have sent what it began."""
        self.writing_until = NEVER
        """Loop time by which the client must have taken what is being written."""

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=SLICE)
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if isinstance(peer, tuple) else ""
        self.reading_until = self._house.time() + self._house.head_timeout
        self._house.enter(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._house.leave(self)
        self._ignoring = True
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._ignoring:
            return
        self._unheard += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._ignoring = True  # the request is answered, and what follows it is another protocol's
        except httptools.HttpParserError:
            self._refuse(heads.MALFORMED)
        if self._unheard > MAX_HEAD and not self._ignoring:
            self._refuse(heads.HEAD_TOO_LARGE)  # a field without end, which the parser would gather

    def eof_received(self) -> bool:
        self._ended = self._ignoring = True
        if self._slot is not None:
            self.abort()  # a live reader has gone: a socket that was closed says no more than this
        return self._task is not None  # who has only no more to ask gets the replies

    def pause_writing(self) -> None:
        self.writing_until = self._house.time() + self._house.write_timeout
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        self.writing_until = NEVER
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # The server.

    def check(self, now: float) -> None:
        """End what has taken too long."""
        if now >= self.writing_until:
            self.abort()
        elif now >= self.reading_until and self._task is None:
            if self._head is not None and not self._ignoring:
                self._refuse(self._house.site.too_slow())
            else:
                self.abort()

    def finish(self) -> None:
        """Close once the reply under way has been sent; at once if there is none."""
        if self._task is None:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection, whatever is under way."""
        self._transport.abort()

    # The parser.

    def on_message_begin(self) -> None:
        self._url, self._fields, self._head, self._early = b"", {}, None, None
        self._bodies, self._size, self._unheard = [], 0, 0
        self.reading_until = self._house.time() + self._house.head_timeout

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is not None:
            return  # a trailer, which nobody has judged and nobody needs
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._fields[key] = f"{self._fields[key]}, {text}" if key in self._fields else text
        self._count(len(name) + len(value) + FIELD_OVERHEAD)

    def on_headers_complete(self) -> None:
        if self._ignoring:
            return
        try:
            url = httptools.parse_url(self._url)
            path = url.path or b""
        except httptools.HttpParserInvalidURLError:
            self._refuse(heads.MALFORMED)
            return
        head = self._head = RequestHead(
            method=self._parser.get_method().decode("ascii"),
            path=path.decode("latin-1"),
            query=(url.query or b"").decode("latin-1"),
            headers=self._fields,
            client=self._client,
        )
        house = self._house
        self._size = 0
        self._early = heads.CROWDED if house.crowded() else house.site.answer_early(head)
        if self._early is not None and not self._is_small(head):
            self._refuse(self._early)
            return
        self.reading_until = house.time() + house.body_timeout
        expects = self._fields.get("expect", "").lower() == "100-continue"
        if expects and self._task is None and self._parser.get_http_version() == "1.1":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._ignoring:
            return
        self._unheard = 0
        self._size += len(body)
        if self._size > self._house.site.limits.max_append_bytes:
            self._refuse(self._house.site.too_large())
        elif self._early is None:
            if self._bodies and len(self._bodies[-1]) < _CRUMB:
                self._bodies[-1] += body
            else:
                self._bodies.append(body)

    def on_message_complete(self) -> None:
        if self._ignoring or self._head is None:
            return
        modern = self._parser.get_http_version() == "1.1"
        persist = modern and self._parser.should_keep_alive() and not self._parser.should_upgrade()
        persist = persist and self._early is not heads.CROWDED  # clients with pools would keep it crowded
        body = self._bodies[0] if len(self._bodies) == 1 else b"".join(self._bodies)
        self._enqueue(_Exchange(self._head, body, self._early, persist, modern))
        self._head, self._bodies, self._unheard = None, [], 0

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_HEAD and not self._ignoring:
            self._refuse(heads.HEAD_TOO_LARGE)

    def _is_small(self, head: RequestHead) -> bool:
        """Whether what follows the head may as well be read."""
        length = head.headers.get("content-length", "0")
        return "transfer-encoding" not in head.headers and length.isdigit() and int(length) <= SMALL_BODY

    # Answers.

    def _refuse(self, reply: WireResponse) -> None:
        """Answer in turn, whatever else of the request may come, and hang up."""
        self._ignoring = True
        head = self._head or RequestHead(method="GET", path="")
        self._enqueue(_Exchange(head, b"", reply, persist=False, chunks=False))

    def _enqueue(self, exchange: _Exchange) -> None:
        self.reading_until = NEVER
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer(exchange))
        else:
            self._queue.append(exchange)
            self._transport.pause_reading()

    async def _answer(self, exchange: _Exchange) -> None:
        """Answer ``exchange`` and those that have come meanwhile, in their order."""
        try:
            while await self._converse(exchange):
                if not self._queue:
                    break
                exchange = self._queue.pop(0)
                if not self._queue:
                    self._transport.resume_reading()
                await asyncio.sleep(0)  # who sends ahead does not go before others
            else:
                self._hang_up()
                return
        except asyncio.CancelledError:
            self.abort()
            return
        except Exception:
            logger.exception("a reply to %s broke", exchange.head.path)
            self.abort()
            return
        finally:
            self._task = None
        if self._house.stopping or self._ignoring:
            self._hang_up()
        else:
            # What has come of the next request while this one was answered could not hurry us.
            idle = self.reading_until == NEVER
            patience = self._house.keep_alive if idle else self._house.body_timeout
            self.reading_until = self._house.time() + patience

    async def _converse(self, exchange: _Exchange) -> bool:
        """Answer one request; False if the connection ends with it."""
        site, reply = self._house.site, exchange.reply
        try:
            if reply is None:
                try:
                    self._slot = site.claim(exchange.head)
                    reply = await site.answer(exchange.head, exchange.body)
                except SlotsExhausted as exhausted:
                    reply = too_many_readers(exhausted)
                except Exception:
                    logger.exception("%s %s failed", exchange.head.method, exchange.head.path)
                    reply = heads.BROKEN
            persist = exchange.persist and not self._house.stopping
            return await self._send(exchange, reply, persist) and persist
        finally:
            if self._slot is not None:
                self._slot.release()
                self._slot = None

    async def _send(self, exchange: _Exchange, reply: WireResponse, persist: bool) -> bool:
        """Write the reply; False if the connection cannot go on after it."""
        body = reply.body
        lines = heads.block(reply.headers)
        closing = "" if persist else "connection: close\r\n"
        common = self._house.common + self._house.date
        empty = exchange.head.method == "HEAD" or reply.status in _BODYLESS
        if isinstance(body, bytes):
            length = "" if empty else f"content-length: {len(body)}\r\n"
            head = heads.head(reply.status, common, lines, length, closing)
            await self._write(head if empty else head + body if len(body) <= SLICE else head)
            if not empty and len(body) > SLICE:
                await self._write_slices(body)
            return True
        try:
            chunked = "transfer-encoding: chunked\r\n" if exchange.chunks and not empty else ""
            await self._write(heads.head(reply.status, common, lines, chunked, closing))
            if not empty:
                return await self._stream(body, chunked=bool(chunked))
            return True
        finally:
            if (close := getattr(body, "aclose", None)) is not None:
                await close()

    async def _stream(self, body: AsyncIterator[bytes], *, chunked: bool) -> bool:
        write = self._transport.write
        if not chunked:
            # It ends with the connection, and a cut must not look like its end: not while any of it is here.
            self._transport.set_write_buffer_limits(high=0)
            self._reset_at_close(True)
        try:
            async for frame in body:
                if len(frame) > _LARGE_FRAME:
                    await self._write_frame(frame, chunked)
                    continue
                write(b"%x\r\n%b\r\n" % (len(frame), frame) if chunked else frame)
                if self._drained is not None:
                    await self._drained
        except StreamError:
            self.abort()  # unfinished, so that half is not taken for whole
            return False
        if chunked:
            write(b"0\r\n\r\n")
        else:
            self._reset_at_close(False)
        return chunked

    async def _write_frame(self, frame: bytes, chunked: bool) -> None:
        if chunked:
            self._transport.write(b"%x\r\n" % len(frame))
        await self._write_slices(frame)
        if chunked:
            self._transport.write(b"\r\n")
        # Pages of a reader who is behind come from memory and await nothing: others want their turn.
        await asyncio.sleep(0)

    async def _write_slices(self, body: bytes) -> None:
        view = memoryview(body)
        for at in range(0, len(body), SLICE):
            if self._transport.is_closing():
                return  # the client has gone, and this is about to be cancelled
            await self._write(view[at : at + SLICE])

    async def _write(self, data: bytes | memoryview) -> None:
        self._transport.write(data)
        if self._drained is not None:
            await self._drained

    def _reset_at_close(self, wanted: bool) -> None:
        linger = struct.pack("ii", wanted, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def _hang_up(self) -> None:
        """Close; but a client that was cut short may still be sending, and would not see why."""
        if not self._ignoring or self._ended:
            self._transport.close()
        elif not self._transport.is_closing():
            self.reading_until = self._house.time() + GOODBYE
            try:
                self._transport.write_eof()
            except OSError:  # the client has gone, and the loop has yet to tell
                self.abort()

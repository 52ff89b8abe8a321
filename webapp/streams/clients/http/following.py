"""Follows one stream of another server for ever: SSE, long-poll where that cannot work, and back.

Owns the connection's life: when it counts as broken, when the next one is made, and which kind. A page counts
only once its control event has arrived, so a cut anywhere repeats nothing and loses nothing. Must not know
who reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from webapp.streams.clients.http import remote_page
from webapp.streams.clients.http.patience import Patience
from webapp.streams.clients.http.refusals import Reply, refusal
from webapp.streams.clients.http.remote_page import RemotePage
from webapp.streams.clients.http.sse_decoder import EventTooLarge, SseDecoder, SseEvent
from webapp.streams.clients.http.upstream import Call, Incoming, Upstream
from webapp.streams.protocol import names
from webapp.streams.protocol.errors import StreamsUnavailable

_TOO_BRIEF = 3
_PERHAPS_WITHOUT_SSE = (200, 400, 405, 406, 415, 501)


class Following:
    """Reads ``path`` on from ``offset`` and hands each page that brings something to ``publish``."""

    def __init__(
        self,
        upstream: Upstream,
        path: str,
        *,
        offset: str,
        content_type: str,
        publish: Callable[[RemotePage], None],
        patience: Patience,
        rng: Random,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._upstream = upstream
        self._path = path
        self._offset = offset
        self._content_type = content_type
        self._publish = publish
        self._patience = patience
        self._rng = rng
        self._sleep = sleep
        self._cursor: str | None = None
        self._closed = False
        self._brief = 0
        self._failures = 0
        self._sse_from = 0.0
        self.connected = False
        """Whether the server would be telling us at this moment if there was more."""

    async def run(self) -> None:
        """Return when the stream is closed. Raises StreamNotFound, StreamGone and whatever else makes
        reading on pointless; trouble on the way never ends it.
        """
        clock = asyncio.get_running_loop().time
        while not self._closed:
            try:
                await (self._sse() if clock() >= self._sse_from else self._long_poll())
            except StreamsUnavailable as trouble:
                self._failures += 1
                await self._pause(self._failures, floor=trouble.retry_after)
            finally:
                self.connected = False

    async def _sse(self) -> None:
        """One SSE connection."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._patience.first_control) as held_back:
                async with self._upstream.opened(self._call(names.LIVE_SSE)) as incoming:
                    if not _is_event_stream(incoming):
                        self._no_event_stream(incoming)
                        return
                    controls = await self._events(incoming, held_back)
        except TimeoutError:
            self._give_sse_up()
            return
        if clock() - began >= self._patience.brief:
            self._brief = 0
            return
        self._brief += 1
        if controls and self._brief >= _TOO_BRIEF:
            self._give_sse_up()
        else:
            await self._pause(self._brief)

    async def _events(self, incoming: Incoming, held_back: asyncio.Timeout) -> int:
        """Commit page after page until the connection ends; return how many there were. The first control
        event lifts the time-out.
        """
        encoded = incoming.headers.get(names.SSE_DATA_ENCODING.lower()) == "base64"
        decoder = SseDecoder(max_event=self._patience.max_reply)
        data: list[bytes] = []
        controls = 0
        while not self._closed and (piece := await incoming.read()):
            for event in _decoded(decoder, piece):
                if event.name == "data":
                    data.append(event.data)
                elif event.name == "control":
                    page = remote_page.from_events(
                        self._offset, data, event.data, content_type=self._content_type, encoded=encoded
                    )
                    self._commit(page)
                    data = []
                    controls += 1
                    held_back.reschedule(None)
                    self.connected, self._failures = True, 0
        return controls

    def _no_event_stream(self, incoming: Incoming) -> None:
        """Raise a refusal, unless it may be one of SSE alone: a long-poll will tell."""
        if incoming.status not in _PERHAPS_WITHOUT_SSE:
            raise refusal(Reply(status=incoming.status, headers=incoming.headers))
        self._give_sse_up()

    async def _long_poll(self) -> None:
        """One long-poll."""
        clock = asyncio.get_running_loop().time
        before, began = self._offset, clock()
        reply = await self._upstream.ask(self._call(names.LIVE_LONG_POLL))
        if reply.status not in (200, 204):
            raise refusal(reply)
        page = remote_page.from_reply(
            self._offset, reply.headers, reply.body, content_type=self._content_type
        )
        self._cursor = reply.header(names.STREAM_CURSOR)
        self._commit(page)
        if self._closed or self._offset != before or clock() - began >= self._patience.brief:
            self._failures = 0
        else:  # a server that does not wait would be asked without end
            self._failures += 1
            await self._pause(self._failures)

    def _commit(self, page: RemotePage) -> None:
        moved = page.next != self._offset
        self._offset = page.next
        self._closed = page.closed
        if moved or page.closed or not page.empty:
            self._publish(page)

    def _call(self, live: str) -> Call:
        query: tuple[tuple[str, str], ...] = ((names.QUERY_OFFSET, self._offset), (names.QUERY_LIVE, live))
        if live == names.LIVE_SSE:
            return Call(
                method="GET",
                path=self._path,
                query=query,
                headers={"Accept": names.EVENT_STREAM},
                pause=self._patience.silence,
            )
        if self._cursor is not None:
            query += ((names.QUERY_CURSOR, self._cursor),)
        return Call(method="GET", path=self._path, query=query, pause=self._patience.poll)

    def _give_sse_up(self) -> None:
        self._sse_from = asyncio.get_running_loop().time() + self._patience.without_sse
        self._brief = 0

    async def _pause(self, attempt: int, *, floor: float = 0.0) -> None:
        await self._sleep(self._patience.reconnect.delay(attempt, floor=floor, rng=self._rng))


def _decoded(decoder: SseDecoder, piece: bytes) -> list[SseEvent]:
    try:
        return decoder.feed(piece)
    except EventTooLarge:
        raise StreamsUnavailable("The stream server sent more than can be taken at once.") from None


def _is_event_stream(incoming: Incoming) -> bool:
    content_type = incoming.headers.get(names.CONTENT_TYPE.lower(), "")
    return incoming.status == 200 and content_type.split(";")[0].strip().lower() == names.EVENT_STREAM

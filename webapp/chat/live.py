"""Many sources of news in one reply: chats, who is in them, and what concerns one person.

Owns what a frame is, taking frames from whoever has one, and the sources that are streams. No source waits
for another, and none is more than one frame ahead of the reader. Must not know HTTP, nor who may see what.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias

import msgspec

from webapp.chat.excerpts import StreamReader
from webapp.chat.feeds import ensure_feed, feed_of
from webapp.chat.frames import server_sent_event
from webapp.streams.clients.base import (
    BEGINNING,
    InvalidRequest,
    ReadPage,
    StreamClient,
    StreamError,
    StreamGone,
    StreamNotFound,
)
from webapp.streams.signals import Signal, first

logger = logging.getLogger(__name__)

NOW: Final = "now"
_IS_ANOTHER: Final = (InvalidRequest, StreamGone, StreamNotFound)
"""The stream that an offset was of is no more."""


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """One event. ``data`` is JSON, or holds it as ``msgspec.Raw``.

    ``id`` is a place to go on from, in a source that the reader names a place of.
    """

    event: str
    data: Mapping[str, Any]
    id: str | None = None

    def encode(self) -> bytes:
        """As a server-sent event."""
        return server_sent_event(self.body(), event=self.event, id=self.id)

    def body(self) -> bytes:
        """The data on one line. Others may have written line ends between the tokens of raw JSON."""
        return msgspec.json.encode(self.data).translate(None, b"\r\n")


Source: TypeAlias = AsyncGenerator[LiveFrame, None]


class Presence(Protocol):
    """Who is in a chat: the whole list, at once and after each change."""

    def follow(self, chat_id: str) -> AsyncGenerator[Sequence[Any], None]: ...


class Merge:
    """The frames of all ``sources``, in the order in which they come.

    A source goes on once its last frame was taken, so a reader who takes none holds them all. One that fails
    ends alone, unless it is the streams that failed: that is told once everything else has been.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = tuple(sources)
        self._ready: deque[tuple[LiveFrame, asyncio.Future[None]]] = deque()
        self._news = Signal()
        self._pumps: list[asyncio.Task[None]] = []
        self._failure: StreamError | None = None

    async def __aenter__(self) -> Self:
        self._pumps = [asyncio.create_task(self._pump(source)) for source in self._sources]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pump in self._pumps:
            pump.cancel()
        if self._pumps:
            await asyncio.wait(self._pumps)

    async def next(self, *ends: Signal, seconds: float) -> LiveFrame | None:
        """The next frame; None once one of ``ends`` has fired, or after ``seconds`` without any.

        Raises the StreamError of a source.
        """
        if not self._ready and self._failure is None:
            self._news = Signal()
            await first(self._news, *ends, seconds=seconds)
        return self.take()

    def take(self) -> LiveFrame | None:
        """The next frame if there is one now."""
        if not self._ready:
            if self._failure is not None:
                raise self._failure
            return None
        frame, taken = self._ready.popleft()
        if not taken.done():
            taken.set_result(None)
        return frame

    async def _pump(self, source: Source) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with aclosing(source):
                async for frame in source:
                    taken: asyncio.Future[None] = loop.create_future()
                    self._ready.append((frame, taken))
                    self._news.fire()
                    await taken
        except StreamError as error:
            self._failure = error
            self._news.fire()
        except Exception:
            logger.exception("a source of a live reply failed")


async def chat(streams: StreamReader, path: str, chat_id: str, *, offset: str) -> Source:
    """The chat's stream from ``offset`` on, first what is there now, if only that it is nothing.

    Ends with the stream, or with the process; raises what ends it otherwise.
    """
    up_to_date = False
    while not up_to_date:
        page = await _read(streams, path, offset=offset)
        yield _batch(chat_id, page)
        offset, up_to_date = page.next_offset, page.up_to_date
        if page.closed:
            return
    async with aclosing(streams.tail(path, offset=offset)) as pages:
        async for page in pages:
            yield _batch(chat_id, page)


async def people(presence: Presence, chat_id: str) -> Source:
    """Who is in the chat."""
    async with aclosing(presence.follow(chat_id)) as lists:
        async for found in lists:
            yield LiveFrame("presence", {"id": chat_id, "people": found})


async def signals(streams: StreamClient, participant_id: str | None, *, offset: str = NOW) -> Source:
    """What the person's feed says after ``offset``, first where that is.

    Nobody is told nothing, and leaves no stream behind.
    """
    if participant_id is None:
        yield LiveFrame("open", {}, offset)
        return
    path = feed_of(participant_id)
    offset = await _place(streams, path, offset)
    yield LiveFrame("open", {}, offset)
    while True:
        try:
            async with aclosing(streams.tail(path, offset=offset)) as pages:
                async for page in pages:
                    for message in page.messages[:-1]:
                        yield LiveFrame("mine", msgspec.json.decode(message))
                    # Only what ends a page has a place to go on from.
                    for message in page.messages[-1:]:
                        yield LiveFrame("mine", msgspec.json.decode(message), page.next_offset)
            return
        except _IS_ANOTHER:
            # It was begun anew. What it said last may not have been heard: there is the list to look at.
            await ensure_feed(streams, path)
            offset = BEGINNING
            yield LiveFrame("mine", {"kind": "chats"})


async def _place(streams: StreamClient, path: str, offset: str) -> str:
    """``offset`` if it is a place in the feed, or else where the feed ends now."""
    try:
        page = await streams.read(path, offset=offset)
    except _IS_ANOTHER:
        await ensure_feed(streams, path)
        offset, page = NOW, await streams.read(path, offset=NOW)
    return page.next_offset if offset == NOW else offset


async def once(sources: Iterable[Source]) -> list[LiveFrame]:
    """The first frame of each."""

    async def begin(source: Source) -> list[LiveFrame]:
        async with aclosing(source):
            return [frame async for frame in _limited(source)]

    found = await asyncio.gather(*map(begin, sources))
    return [frame for frames in found for frame in frames]


async def _limited(source: Source) -> Source:
    async for frame in source:
        yield frame
        return


async def _read(streams: StreamReader, path: str, *, offset: str) -> ReadPage:
    """A page of a stream that may not have been written to yet."""
    try:
        return await streams.read(path, offset=offset)
    except StreamNotFound:
        await streams.ensure(path)
        return await streams.read(path, offset=offset)


def _batch(chat_id: str, page: ReadPage) -> LiveFrame:
    return LiveFrame(
        "batch",
        {
            "id": chat_id,
            "nextOffset": page.next_offset,
            "events": [msgspec.Raw(message) for message in page.messages],
            "upToDate": page.up_to_date,
        },
    )

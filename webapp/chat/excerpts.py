"""Chats as people see them who were let in from one message on: snapshots and pages without what came before.

Every read of a conversation on somebody's behalf goes through here with their ``since``; None is the whole
conversation, and costs nothing. Owns the memory of what each excerpt shows. Must not know who asks, nor what
may be seen: ``since.py`` says that.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

from webapp.chat import events
from webapp.chat.errors import ChatNotFound
from webapp.chat.messages import NewMessage
from webapp.chat.reducer import Reducer
from webapp.chat.sessions import ChatSnapshot, Sessions
from webapp.chat.since import Sieve, Since
from webapp.streams.clients.base import (
    BEGINNING,
    InvalidRequest,
    ReadPage,
    StreamClient,
    StreamGone,
    StreamNotFound,
)

STREAM_IS_LOST = (InvalidRequest, StreamGone, StreamNotFound)


@dataclass(slots=True)
class _Excerpt:
    sieve: Sieve
    offset: str
    reducer: Reducer = field(default_factory=Reducer)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class StreamReader(Protocol):
    """Of a StreamClient what reading takes."""

    async def ensure(self, path: str) -> str: ...
    async def read(self, path: str, *, offset: str = BEGINNING) -> ReadPage: ...
    def tail(self, path: str, *, offset: str) -> AsyncGenerator[ReadPage, None]: ...


class Excerpts:
    """Of all chats. ``capacity`` excerpts are kept in memory, the least used forgotten first."""

    def __init__(self, *, streams: StreamClient, sessions: Sessions, capacity: int = 64) -> None:
        self._streams = streams
        self._sessions = sessions
        self._capacity = capacity
        self._kept: OrderedDict[tuple[str, Since], _Excerpt] = OrderedDict()

    async def snapshot(self, chat_id: str, *, since: Since | None) -> ChatSnapshot:
        """The chat now, as far as it may be seen. Which agents are in it may always be."""
        whole = await self._sessions.snapshot(chat_id)
        if since is None:
            return whole
        excerpt = await self._current(chat_id, since)
        shown = replace(excerpt.reducer.snapshot(), roster=whole.snapshot.roster)
        return ChatSnapshot(shown, excerpt.offset)

    async def shows(self, chat_id: str, message_id: str, *, since: Since | None) -> bool:
        """Whether that message, or nothing by that id, is to be seen: an answer to it is then, too."""
        if since is None:
            return True
        whole = await self._sessions.snapshot(chat_id)
        shown = (await self._current(chat_id, since)).sieve.messages
        return message_id in shown or message_id not in whole.branches

    async def placed(self, chat_id: str, message: NewMessage, *, since: Since | None) -> NewMessage:
        """The message where its sender will see it: if it does not say, after the last that they see."""
        if since is None or message.by_agent or {"parentId", "editOf"} & message.metadata.keys():
            return message
        shown = await self.snapshot(chat_id, since=since)
        tip = shown.branches.tip(shown.snapshot.pins)
        return message if tip is None else replace(message, metadata={**message.metadata, "parentId": tip})

    async def filtered(self, chat_id: str, messages: Iterable[bytes], *, since: Since | None) -> list[bytes]:
        """Of events that were read from the chat's stream, those that may be seen, as they may be."""
        if since is None:
            return list(messages)
        sieve = (await self._current(chat_id, since)).sieve
        kept: list[bytes] = []
        for raw in messages:
            event = events.decode(raw)
            passed = sieve.pass_on(event, raw)
            if passed is not None:
                kept.append(raw if passed is event else events.encode(passed))
        return kept

    def reader(self, chat_id: str, *, since: Since | None) -> StreamReader:
        """Of the chat's stream: pages without what may not be seen, which may leave nothing of one."""
        if since is None:
            return self._streams
        return _ExcerptReader(self._streams, chat_id, since, self)

    async def locate(self, chat_id: str, message_id: str, *, hints: Sequence[str] = ()) -> Since | None:
        """From that message on; None if it is not in the chat. ``hints`` are offsets it may come soon after.

        Of an answer it is the question that is meant, and of that the first one of a person.
        """
        at = await self._sessions.snapshot(chat_id)
        asked: str | None = message_id
        roles = {message["id"]: message["role"] for message in at.snapshot.messages}
        while asked is not None and roles.get(asked) == "assistant":
            asked = at.branches.placement(asked).parent
        if asked is None or asked not in roles:
            return None
        for hint in (*hints, BEGINNING):
            offset = await self._search(chat_id, asked, hint)
            if offset is not None:
                return Since(asked, offset)
        return None

    async def _search(self, chat_id: str, message_id: str, offset: str) -> str | None:
        """The beginning of the page after ``offset`` in which the message begins."""
        while True:
            page = await self._streams.read(self._sessions.path(chat_id), offset=offset)
            for event in map(events.decode, page.messages):
                if event.get("type") == events.TEXT_MESSAGE_START and event.get("messageId") == message_id:
                    return offset
            if page.up_to_date:
                return None
            offset = page.next_offset

    async def _current(self, chat_id: str, since: Since) -> _Excerpt:
        """The excerpt with everything that is in the stream by now."""
        excerpt = self._kept.get((chat_id, since))
        if excerpt is None:
            excerpt = await self._new(chat_id, since)
            excerpt = self._kept.setdefault((chat_id, since), excerpt)
        self._kept.move_to_end((chat_id, since))
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        async with excerpt.lock:
            while True:
                try:
                    page = await self._streams.read(self._sessions.path(chat_id), offset=excerpt.offset)
                except STREAM_IS_LOST as lost:
                    # Lost, or made anew: what was shared is no longer in it.
                    self._kept.pop((chat_id, since), None)
                    raise ChatNotFound from lost
                # No await from here to the new offset: an excerpt is never half a page ahead of what it says.
                for raw in page.messages:
                    event = events.decode(raw)
                    excerpt.sieve.learn(event, raw)
                    excerpt.reducer.apply(excerpt.sieve.pass_on(event, raw))
                excerpt.offset = page.next_offset
                if page.up_to_date:
                    return excerpt
                await asyncio.sleep(0)

    async def _new(self, chat_id: str, since: Since) -> _Excerpt:
        whole = (await self._sessions.snapshot(chat_id)).snapshot.messages
        ids = [message["id"] for message in whole]
        earlier = ids[: ids.index(since.message_id)] if since.message_id in ids else []
        return _Excerpt(Sieve(since, earlier=earlier), since.offset)


@dataclass(frozen=True, slots=True)
class _ExcerptReader:
    """A StreamReader."""

    streams: StreamClient
    chat_id: str
    since: Since
    excerpts: Excerpts

    async def ensure(self, path: str) -> str:
        return await self.streams.ensure(path)

    async def read(self, path: str, *, offset: str = BEGINNING) -> ReadPage:
        return await self._shown(await self.streams.read(path, offset=begin(offset, self.since)))

    async def tail(self, path: str, *, offset: str) -> AsyncGenerator[ReadPage, None]:
        async with aclosing(self.streams.tail(path, offset=begin(offset, self.since))) as pages:
            async for page in pages:
                yield await self._shown(page)

    async def _shown(self, page: ReadPage) -> ReadPage:
        kept = await self.excerpts.filtered(self.chat_id, page.messages, since=self.since)
        return replace(page, messages=tuple(kept))


def begin(offset: str, since: Since | None) -> str:
    """Where a reader may begin who asks for ``offset``. Offsets sort as their places do; so does ``-1``."""
    if since is None or offset == "now":
        return offset
    return max(offset, since.offset)

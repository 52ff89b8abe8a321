"""The current state of each chat: its stream, folded once and from then on only extended.

Owns the memory of folds and when they are cached in the catalog. Must not know who asks, nor what events
mean. The stream is the only truth: any fold may be thrown away and made again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from webapp.chat import events
from webapp.chat.branches import Branches
from webapp.chat.catalog.snapshots import CachedSnapshot, SnapshotCache
from webapp.chat.reducer import REDUCER_VERSION, Reducer
from webapp.chat.reducer.snapshot import Snapshot, StaleSnapshot
from webapp.streams.clients.base import (
    BEGINNING,
    InvalidRequest,
    StreamClient,
    StreamClosed,
    StreamConflict,
    StreamGone,
    StreamNotFound,
)

logger = logging.getLogger(__name__)

STREAM_IS_GONE = (StreamNotFound, StreamGone, StreamClosed, StreamConflict)
"""Nothing can ever be appended to the chat again: a run in it is over without a word."""


@dataclass(frozen=True)
class ChatSnapshot:
    """A chat as of ``offset``: subscribe from there and nothing is missing or repeated."""

    snapshot: Snapshot
    offset: str

    @cached_property
    def branches(self) -> Branches:
        """The tree of its messages: made when it is asked for, and once for all who ask."""
        return Branches(self.snapshot.messages)


@dataclass(slots=True)
class _Fold:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    reducer: Reducer | None = None
    offset: str = BEGINNING
    current: ChatSnapshot | None = None
    unsaved: int = 0


class Sessions:
    """Snapshots of chats, memoised. ``capacity`` folds are kept in memory, the least used forgotten first."""

    def __init__(
        self, *, streams: StreamClient, cache: SnapshotCache, capacity: int = 256, save_every: int = 2000
    ) -> None:
        self._streams = streams
        self._cache = cache
        self._capacity = capacity
        self._save_every = save_every
        self._folds: OrderedDict[str, _Fold] = OrderedDict()

    def path(self, chat_id: str) -> str:
        """The chat's stream."""
        return f"chats/{chat_id}"

    async def ensure(self, chat_id: str) -> str:
        """Create the chat's stream unless it exists; return its path."""
        with suppress(StreamConflict):  # it is there, as a fork or closed
            await self._streams.ensure(self.path(chat_id))
        return self.path(chat_id)

    async def snapshot(self, chat_id: str) -> ChatSnapshot:
        """The chat now, with everything acknowledged before the call. Creates the stream if it is missing.

        Callers at the same time share one fold. Raises StreamsUnavailable, StreamGone.
        """
        fold = self._fold(chat_id)
        async with fold.lock:
            if fold.reducer is None:
                await self._load(chat_id, fold)
            try:
                await self._extend(chat_id, fold)
            except (InvalidRequest, StreamGone, StreamNotFound) as lost:
                # The stream was lost, or made anew: what was folded belongs to another one.
                if isinstance(lost, StreamNotFound):
                    await self.ensure(chat_id)
                await self._start_over(chat_id, fold)
                await self._extend(chat_id, fold)
            if fold.unsaved >= self._save_every:
                await self._save(chat_id, fold)
            return self._current(fold)

    async def save(self, chat_id: str) -> None:
        """Bring the chat's fold up to date and cache it. Called at the end of runs, never per token."""
        await self.snapshot(chat_id)
        fold = self._fold(chat_id)
        async with fold.lock:
            if fold.unsaved:
                await self._save(chat_id, fold)

    async def forget(self, chat_id: str) -> None:
        """The chat is gone for good: keep nothing of it."""
        self._folds.pop(chat_id, None)
        await self._cache.drop(self.path(chat_id))

    def _fold(self, chat_id: str) -> _Fold:
        fold = self._folds.setdefault(chat_id, _Fold())
        self._folds.move_to_end(chat_id)
        while len(self._folds) > self._capacity:
            self._folds.popitem(last=False)
        return fold

    async def _load(self, chat_id: str, fold: _Fold) -> None:
        await self.ensure(chat_id)
        fold.reducer, fold.offset = Reducer(), BEGINNING
        cached = await self._cache.get(self.path(chat_id), reducer_version=REDUCER_VERSION)
        if cached is None:
            return
        try:
            fold.reducer = Reducer(Snapshot.from_json(msgspec.json.decode(cached.body)))
        except (StaleSnapshot, msgspec.DecodeError):
            logger.warning("the cached snapshot of chat %s is unreadable; replaying", chat_id)
        else:
            fold.offset = cached.offset

    async def _start_over(self, chat_id: str, fold: _Fold) -> None:
        await self._cache.drop(self.path(chat_id))
        fold.reducer, fold.offset, fold.current, fold.unsaved = Reducer(), BEGINNING, None, 0

    async def _extend(self, chat_id: str, fold: _Fold) -> None:
        assert fold.reducer is not None
        while True:
            page = await self._streams.read(self.path(chat_id), offset=fold.offset)
            # No await from here to the new offset: a fold is never half a page ahead of what it says.
            for message in page.messages:
                fold.reducer.apply(events.decode(message))
            if page.messages or page.next_offset != fold.offset:
                fold.current = None
            fold.unsaved += len(page.messages)
            fold.offset = page.next_offset
            if page.up_to_date:
                return
            await asyncio.sleep(0)

    def _current(self, fold: _Fold) -> ChatSnapshot:
        assert fold.reducer is not None
        if fold.current is None:
            fold.current = ChatSnapshot(fold.reducer.snapshot(), fold.offset)
        return fold.current

    async def _save(self, chat_id: str, fold: _Fold) -> None:
        current = self._current(fold)
        body = msgspec.json.encode(current.snapshot.to_json())
        await self._cache.put(
            self.path(chat_id), CachedSnapshot(current.offset, body), reducer_version=REDUCER_VERSION
        )
        fold.unsaved = 0

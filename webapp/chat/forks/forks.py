"""A chat of one's own out of another, from one of its messages on.

Owns the steps, and their order. Must not know who may see the source beyond the events a caller lets through.

Nothing is copied: the new stream reads on in the old one. Only where a place in the source has no name (a
stream server elsewhere may name no places within a page), the last events before it are written again; and
whoever may see a part of the source gets a copy of that part. Nobody sees the chat before all of it is there,
so a fork that was cut off in the middle is simply made once more: each step finds what it had done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from webapp.chat import events
from webapp.chat.catalog import Catalog, Chat
from webapp.chat.catalog.snapshots import CachedSnapshot
from webapp.chat.errors import ChatNotFound, Conflict, InvalidMessage, Unavailable
from webapp.chat.forks.closing import Closing
from webapp.chat.forks.places import Place, Places
from webapp.chat.messages import Participant
from webapp.chat.reducer import REDUCER_VERSION
from webapp.chat.runs.failpoints import Step, reached
from webapp.chat.sessions import STREAM_IS_GONE, Sessions
from webapp.chat.telling import Telling
from webapp.streams.clients.base import (
    InvalidRequest,
    StreamClient,
    StreamConflict,
    StreamsUnavailable,
)
from webapp.streams.clients.producer import IdempotentProducer
from webapp.streams.clients.retry import Retry

Sieve = Callable[[Sequence[bytes]], Awaitable[Sequence[bytes]]]
"""Of events of the source, those that may be seen."""

_RETRY = Retry(attempts=3, base=0.05, cap=0.5)
_SUFFIX = " (fork)"
_TITLE = 80
_CHUNK = 256


class Forks:
    """Makes forks. ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        *,
        streams: StreamClient,
        sessions: Sessions,
        telling: Telling,
        catalog: Catalog,
        clock: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._sessions = sessions
        self._telling = telling
        self._catalog = catalog
        self.places = Places(streams=streams, sessions=sessions, inbox=catalog.runs)
        self._closing = Closing(streams=streams, sessions=sessions, inbox=catalog.runs, clock=clock)

    async def fork(
        self,
        source: Chat,
        fork_id: str,
        *,
        at: Place,
        by: Participant,
        message_id: str | None = None,
        sieve: Sieve | None = None,
    ) -> tuple[Chat, str | None]:
        """The fork, which belongs to ``by``, and its bearer token; None if it had been made before. With a
        ``sieve`` it has only what that leaves of the stretch ``at``.

        Durable on return. Raises Conflict for an id that is taken, InvalidMessage for a place that is none,
        ChatNotFound and Unavailable.
        """
        existing = await self._catalog.get_chat(fork_id)
        if existing is not None:
            return _same(existing, source, by), None
        # Before anything is written: its stream is there, and may be had back.
        if await self._catalog.was_deleted(fork_id):
            raise _taken()
        try:
            if sieve is None:
                await self._begin(source.id, fork_id, at)
            else:
                await self._streams.ensure(self._sessions.path(fork_id))
                await self._write(self._sessions.path(fork_id), await sieve(at.last or ()))
            reached(Step.FORKED)
            title = _title(source.title)
            closing = await self._closing.told(fork_id, keep=message_id, by=by, same_places=sieve is None)
            told = [*closing, events.chat_renamed(title, participant_id=by.id, name=by.name)]
            await self._telling.tell(fork_id, told, once="fork")
            reached(Step.FORK_CLOSED)
        except StreamsUnavailable as refusal:
            raise Unavailable(
                "The fork could not be stored. Please try again.", retry_after=refusal.retry_after
            ) from refusal
        except STREAM_IS_GONE as refusal:
            raise ChatNotFound from refusal
        chat, created, token = await self._catalog.create_chat(
            fork_id, owner=by, title=title, parent_id=source.id, fork_message_id=message_id
        )
        return (chat, token) if created else (_same(chat, source, by), None)

    async def _begin(self, source: str, fork_id: str, at: Place) -> None:
        path, target = self._sessions.path(source), self._sessions.path(fork_id)
        try:
            try:
                await self._streams.fork(path, target, offset=at.offset, sub_offset=at.count)
            except (InvalidRequest, StreamConflict):
                if at.last is None:
                    raise
                # Beyond the append that the place is counted from, as it may have been the last time.
                await self._streams.fork(path, target, offset=at.offset)
                await self._write(target, at.last)
        except InvalidRequest as refusal:
            raise InvalidMessage("That is no place in this chat.", code="invalid-offset") from refusal
        except StreamConflict as refusal:
            raise _taken() from refusal
        await self._inherit(source, target, at)

    async def _write(self, path: str, messages: Sequence[bytes]) -> None:
        """Append them in pieces, each once however often this is done."""
        producer = IdempotentProducer(self._streams, path, producer_id="fork:copy", retry=_RETRY)
        async with aclosing(producer):
            for start in range(0, len(messages), _CHUNK):
                await producer.append(messages[start : start + _CHUNK])

    async def _inherit(self, source: str, target: str, at: Place) -> None:
        """A fork of the whole chat begins with its fold, which spares reading it all again."""
        whole = await self._sessions.snapshot(source)
        if at.count == 0 and at.offset == whole.offset:
            body = msgspec.json.encode(whole.snapshot.to_json())
            cached = CachedSnapshot(whole.offset, body)
            await self._catalog.snapshots.put(target, cached, reducer_version=REDUCER_VERSION)


def _same(chat: Chat, source: Chat, by: Participant) -> Chat:
    """The chat, if it is this fork already. Raises Conflict."""
    if chat.parent_id != source.id or chat.owner_id != by.id:
        raise _taken()
    return chat


def _taken() -> Conflict:
    return Conflict("There is a chat with this id already.", code="chat-id-used")


def _title(title: str | None) -> str:
    whole = (title or "New chat").removesuffix(_SUFFIX)
    room = _TITLE - len(_SUFFIX)
    return (whole if len(whole) <= room else whole[: room - 1].rstrip() + "…") + _SUFFIX

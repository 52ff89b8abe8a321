"""Frozen copies: a chat as it is now, for good. A fork of its stream at this moment, closed for writing.

Owns how one is made. Must not know who may see it.
"""

from __future__ import annotations

from collections.abc import Callable

from webapp.chat import events
from webapp.chat.catalog import Catalog, Chat
from webapp.chat.errors import ChatNotFound, Unavailable
from webapp.chat.messages import Participant
from webapp.chat.sessions import STREAM_IS_GONE, Sessions
from webapp.streams.clients.base import StreamClient, StreamsUnavailable


class Copies:
    """``clock`` gives seconds since the epoch, ``ids`` a new unguessable id."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        streams: StreamClient,
        sessions: Sessions,
        clock: Callable[[], float],
        ids: Callable[[], str],
    ) -> None:
        self._catalog = catalog
        self._streams = streams
        self._sessions = sessions
        self._clock = clock
        self._ids = ids

    async def freeze(self, chat: Chat, *, by: Participant) -> str:
        """The id of a new copy. Answers under way are stopped in it, and go on where they are."""
        copy_id = self._ids()
        await self._sessions.ensure(chat.id)
        await self._catalog.add_copy(copy_id, of=chat, owner_id=by.id)
        try:
            await self._streams.fork(self._sessions.path(chat.id), self._sessions.path(copy_id))
            running = (await self._sessions.snapshot(copy_id)).snapshot.active_runs
            now = int(self._clock() * 1000)
            ends = [
                events.run_finished(copy_id, run_id, timestamp=now, outcome=events.cancelled())
                for run_id in running
            ]
            await self._streams.append(
                self._sessions.path(copy_id), [events.encode(end) for end in ends], close=True
            )
        except StreamsUnavailable as refusal:
            raise Unavailable(
                "The copy could not be made. Please try again.", retry_after=refusal.retry_after
            ) from refusal
        except STREAM_IS_GONE as refusal:
            raise ChatNotFound from refusal
        return copy_id

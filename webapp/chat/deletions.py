"""Deleting a chat: gone for everybody at once, undone within a grace, then gone for good.

Owns the order of it, and the sweep that ends it, in whatever process is left to do so. Must not know who may
delete what, nor who is told.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from webapp.chat.catalog import Catalog
from webapp.chat.errors import Unavailable
from webapp.chat.messages import Participant
from webapp.chat.runs import Supervisor
from webapp.chat.sessions import STREAM_IS_GONE, Sessions
from webapp.streams.clients.base import StreamClient, StreamError

logger = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between two sweeps, or as long as the grace if that is less."""


class Deletions:
    """Of all chats. Call ``start`` once the rest is open."""

    def __init__(
        self, *, catalog: Catalog, streams: StreamClient, sessions: Sessions, supervisor: Supervisor
    ) -> None:
        self._catalog = catalog
        self._streams = streams
        self._sessions = sessions
        self._supervisor = supervisor
        self._task: asyncio.Task[None] | None = None

    async def delete(self, chat_id: str, *, by: Participant) -> bool:
        """Hide the chat and stop what runs in it. False if it was not there."""
        if not await self._catalog.deleted.add(chat_id):
            return False
        rows = await self._catalog.runs.unfinished(chat_id=chat_id)
        stops = (self._supervisor.stop(chat_id=chat_id, run_id=row.run_id, participant=by) for row in rows)
        for failed in await asyncio.gather(*stops, return_exceptions=True):
            if isinstance(failed, Exception):
                logger.warning("a run of a deleted chat was not stopped: %s", type(failed).__name__)
        return True

    async def restore(self, chat_id: str, *, by: Participant) -> bool:
        """Undo it, for somebody who could have deleted the chat. False if it is too late, or not theirs."""
        return await self._catalog.deleted.restore(chat_id, participant_id=by.id)

    async def sweep(self) -> None:
        """Purge every chat whose grace is over. What cannot be reached now is for the next sweep."""
        for chat_id in await self._catalog.deleted.due():
            try:
                with suppress(*STREAM_IS_GONE):
                    await self._streams.delete(self._sessions.path(chat_id))
            except StreamError as error:
                logger.warning("the stream of a deleted chat cannot be deleted: %s", type(error).__name__)
                continue
            await self._sessions.forget(chat_id)
            await self._catalog.deleted.purge(chat_id)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._keep_sweeping())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _keep_sweeping(self) -> None:
        while True:
            try:
                await self.sweep()
            except Unavailable:
                pass  # it is logged; the next sweep sees it all
            except Exception:
                logger.exception("a sweep of deleted chats failed")
            await asyncio.sleep(min(INTERVAL, self._catalog.deleted.grace))

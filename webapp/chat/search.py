"""Finds what was said, and chats by what they are called.

Owns that chats which were never looked through are so by and by: some at once, so that what was said lately
is found, the others after the answer. Must not know who may see which chat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from webapp.chat.catalog import Catalog
from webapp.chat.catalog.texts import Hit
from webapp.chat.errors import ChatError
from webapp.chat.overview import Overview
from webapp.streams.clients.base import StreamError

logger = logging.getLogger(__name__)

_AT_ONCE = 0.5
"""Seconds that somebody who searches waits for chats to be looked through."""


@dataclass(frozen=True, slots=True)
class Found:
    """``complete``: there was nothing that had still to be looked through."""

    hits: Sequence[Hit]
    complete: bool


class Search:
    """Over the texts of chats."""

    def __init__(self, *, catalog: Catalog, overview: Overview) -> None:
        self._catalog = catalog
        self._overview = overview
        self._filling: dict[str, asyncio.Task[None]] = {}

    async def find(self, query: str, chat_ids: Sequence[str], *, limit: int = 40) -> Found:
        """The best matches in these chats."""
        left = await self._fill(await self._catalog.texts.unindexed(chat_ids))
        hits = await self._catalog.texts.search(query, chat_ids, limit=limit)
        return Found(hits, complete=not left)

    async def aclose(self) -> None:
        """Give up on what is under way."""
        tasks = list(self._filling.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _fill(self, chat_ids: Sequence[str]) -> bool:
        """Have the chats looked through, one after the other; whether some are left for later."""
        if not chat_ids:
            return False
        # People who search while they type share the work.
        key = chat_ids[0]
        task = self._filling.get(key)
        if task is None:
            task = self._filling[key] = asyncio.create_task(self._look_through(chat_ids))
            task.add_done_callback(lambda _: self._filling.pop(key, None))
        done, _ = await asyncio.wait({task}, timeout=_AT_ONCE)
        return not done

    async def _look_through(self, chat_ids: Sequence[str]) -> None:
        for chat_id in chat_ids:
            try:
                await self._overview.look(chat_id)
            except (ChatError, StreamError) as error:
                logger.info("chat %s cannot be searched: %s", chat_id, type(error).__name__)
            except Exception:
                logger.exception("chat %s cannot be searched", chat_id)

"""Ends what is still open for people who have lost access: within a few seconds, in every process.

Owns the wake-ups and the look at the table of losses. Whoever serves somebody for longer takes the ``Loss``
of that person and chat *before* asking whether they may, and ends when it fires; then nothing that happens in
between is missed. Must not know what is served, nor why a right ends: the catalog notes that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from weakref import WeakValueDictionary

from webapp.chat.catalog import Catalog
from webapp.chat.catalog.losses import LostAccess
from webapp.chat.errors import Unavailable
from webapp.streams.signals import Signal

logger = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds between two looks."""

_TIDY_EVERY = 300

_BACK = 64
"""So many numbers back each look begins: of two transactions the later number may be committed first."""


class Loss(Signal):
    """Fires when one person has lost something in one chat. ``code`` says why, once it has fired."""

    __slots__ = ("code",)

    def __init__(self) -> None:
        super().__init__()
        self.code = ""


class Losses:
    """Of all people this process serves. Call ``start`` before anything is served. ``left`` is told, at each
    look, of the people who may no longer see a chat at all; it returns at once.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        left: Callable[[str, Collection[str]], None] = lambda chat_id, people: None,
        interval: float = INTERVAL,
    ) -> None:
        self._catalog = catalog
        self._left = left
        self._interval = interval
        self._watched: WeakValueDictionary[tuple[str, str], Loss] = WeakValueDictionary()
        self._last = 0
        self._seen: set[int] = set()
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def watch(self, chat_id: str, participant_id: str) -> Loss:
        """What fires at the next loss of that person in that chat. Keep it for as long as you serve them."""
        loss = self._watched.get((chat_id, participant_id))
        if loss is None:
            loss = self._watched[chat_id, participant_id] = Loss()
        return loss

    async def look(self) -> None:
        """Fire for what was lost since the last look. Whoever has taken something away calls it, so that
        nobody here waits for the next round.
        """
        async with self._looking:
            new = await self._new()
            for lost in new:
                for key in self._meant(lost):
                    if (loss := self._watched.pop(key, None)) is not None:
                        loss.code = lost.code
                        loss.fire()
        left: dict[str, set[str]] = {}
        for lost in new:
            if lost.participant_id is not None and lost.code != "changed":
                left.setdefault(lost.chat_id, set()).add(lost.participant_id)
        for chat_id, people in left.items():
            self._left(chat_id, people)

    async def start(self) -> None:
        self._last = await self._catalog.losses.latest()
        await self._new()
        self._task = asyncio.create_task(self._keep_looking())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _new(self) -> list[LostAccess]:
        """What has not been seen before."""
        rows = await self._catalog.losses.after(self._last - _BACK)
        new = [row for row in rows if row.seq not in self._seen]
        self._seen = {row.seq for row in rows}
        self._last = max(self._seen, default=self._last)
        return new

    def _meant(self, lost: LostAccess) -> list[tuple[str, str]]:
        if lost.participant_id is not None:
            return [(lost.chat_id, lost.participant_id)]
        return [key for key in list(self._watched) if key[0] == lost.chat_id]

    async def _keep_looking(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(self._interval)
            rounds += 1
            try:
                await self._catalog.grants.end_expired()
                await self.look()
                if rounds % _TIDY_EVERY == 0:
                    await self._catalog.losses.forget_old()
            except Unavailable:
                pass  # it is logged; the next look sees it all
            except Exception:
                logger.exception("the look at what people have lost failed")

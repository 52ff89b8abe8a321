"""Chats that were deleted: hidden at once, kept for a grace in which that can be undone, then purged.

Owns the rows. A frozen copy goes, and comes back, with the chat it was made of. Must not know streams.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, delete, literal, or_, select, update

from webapp.chat.catalog.database import Database
from webapp.chat.catalog.losses import note_loss
from webapp.chat.catalog.schema import (
    answers,
    api_tokens,
    arrivals,
    chats,
    choices,
    grants,
    links,
    runs,
    texts,
    views,
)
from webapp.chat.messages import Role


class DeletedChats:
    """``grace`` is in seconds."""

    def __init__(self, database: Database, *, clock: Callable[[], float], grace: float) -> None:
        self._database = database
        self._clock = clock
        self.grace = grace

    async def add(self, chat_id: str) -> bool:
        """Hide the chat from everybody. False if it is not there."""
        now = self._clock()
        async with self._database.write() as connection:
            query = select(chats.c.id).where(_with_copies(chat_id), chats.c.deleted_at.is_(None))
            found = (await connection.execute(query)).scalars().all()
            if chat_id not in found:
                return False
            await connection.execute(update(chats).where(chats.c.id.in_(found)).values(deleted_at=now))
            for each in found:
                await note_loss(connection, each, None, code="deleted", at=now)
        return True

    async def restore(self, chat_id: str, *, participant_id: str) -> bool:
        """Bring the chat back as it was, for one who managed it. False if there is nothing to bring back, or
        no longer.
        """
        managers = select(grants.c.participant_id).where(
            grants.c.chat_id == chat_id, grants.c.role >= Role.MANAGE
        )
        is_manager = or_(chats.c.owner_id == participant_id, literal(participant_id).in_(managers))
        async with self._database.write() as connection:
            query = select(chats.c.deleted_at).where(
                chats.c.id == chat_id,
                is_manager,
                chats.c.purged_at.is_(None),
                chats.c.deleted_at > self._clock() - self.grace,
            )
            deleted_at = (await connection.execute(query)).scalar()
            if deleted_at is None:
                return False
            together = _with_copies(chat_id) & (chats.c.deleted_at == deleted_at)
            await connection.execute(update(chats).where(together).values(deleted_at=None))
        return True

    async def due(self) -> list[str]:
        """The chats whose grace is over and that are not purged, a frozen copy before its chat."""
        query = (
            select(chats.c.id)
            .where(chats.c.deleted_at <= self._clock() - self.grace, chats.c.purged_at.is_(None))
            .order_by(chats.c.frozen.desc())
        )
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())

    async def purge(self, chat_id: str) -> None:
        """Forget all that was about the chat; its id stays taken."""
        async with self._database.write() as connection:
            for table in (texts, views, answers, choices, grants, arrivals, links, api_tokens):
                await connection.execute(delete(table).where(table.c.chat_id == chat_id))
            emptied = {"events": None, "data": None, "tools": None, "resume": None}
            await connection.execute(update(runs).where(runs.c.chat_id == chat_id).values(emptied))
            gone = {"title": None, "purged_at": self._clock()}
            await connection.execute(update(chats).where(chats.c.id == chat_id).values(gone))


def _with_copies(chat_id: str) -> ColumnElement[bool]:
    return or_(chats.c.id == chat_id, (chats.c.parent_id == chat_id) & (chats.c.frozen != 0))

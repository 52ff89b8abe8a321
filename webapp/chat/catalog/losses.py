"""What people have lost in chats, in order: for whoever still serves them, in whatever process.

Owns the rows, which nobody needs for longer than a minute. Must not know what is done about them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, func, insert, select

from webapp.chat.catalog.database import Database, Transaction
from webapp.chat.catalog.schema import losses

LossCode = Literal["revoked", "expired", "removed", "changed", "deleted"]
"""``changed``: they may still see the chat, but less of it, or do less there."""

KEPT = 3600.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class LostAccess:
    """``participant_id`` is None where everybody has lost it."""

    seq: int
    chat_id: str
    participant_id: str | None
    code: LossCode


class LossRows:
    """The table."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def latest(self) -> int:
        """The number of the last one, or 0."""
        async with self._database.read() as connection:
            return (await connection.execute(select(func.max(losses.c.seq)))).scalar() or 0

    async def after(self, seq: int) -> list[LostAccess]:
        """Those with a higher number."""
        query = select(losses).where(losses.c.seq > seq).order_by(losses.c.seq)
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return [LostAccess(row.seq, row.chat_id, row.participant_id, row.code) for row in rows]

    async def forget_old(self) -> None:
        """Delete what every process has seen long ago. The last one stays: numbers only go up."""
        last = select(func.max(losses.c.seq)).scalar_subquery()
        old = (losses.c.at < self._clock() - KEPT) & (losses.c.seq < last)
        async with self._database.write() as connection:
            await connection.execute(delete(losses).where(old))


async def note_loss(
    connection: Transaction, chat_id: str, participant_id: str | None, *, code: LossCode, at: float
) -> None:
    """Note it as part of somebody's transaction."""
    await connection.execute(
        insert(losses).values(chat_id=chat_id, participant_id=participant_id, code=code, at=at)
    )

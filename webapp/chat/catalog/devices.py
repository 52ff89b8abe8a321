"""One-time links that make another browser the same person.

Owns the rows. Must not know addresses or cookies, nor ever see a token: callers hand over its hash. A link
that was used, one that has expired and one that never was are told apart by nobody.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, delete, insert, select, update

from webapp.chat.catalog.database import Database
from webapp.chat.catalog.people import PERSON, person
from webapp.chat.catalog.schema import device_links, participants
from webapp.chat.messages import Participant

LIFETIME = 300.0
"""Seconds for which a link is good."""


class DeviceLinks:
    """Rows of links."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def add(self, token_hash: bytes, participant_id: str) -> float:
        """Store a link; when it ends. Those that have ended are forgotten."""
        ends = self._clock() + LIFETIME
        row = {"token_hash": token_hash, "participant_id": participant_id, "expires_at": ends}
        async with self._database.write() as connection:
            await connection.execute(
                delete(device_links).where(device_links.c.expires_at < self._clock() - LIFETIME)
            )
            await connection.execute(insert(device_links).values(row))
        return ends

    async def whose(self, token_hash: bytes) -> Participant | None:
        """The person it would make a browser; it can still be used afterwards."""
        good = self._good(token_hash)
        query = select(*PERSON).join(device_links, device_links.c.participant_id == participants.c.id)
        async with self._database.read() as connection:
            row = (await connection.execute(query.where(good))).first()
        return person(row) if row else None

    async def use(self, token_hash: bytes) -> str | None:
        """The id of the person, once. Of several who ask at the same time one is told."""
        good = self._good(token_hash)
        async with self._database.write() as connection:
            used = await connection.execute(update(device_links).where(good).values(used_at=self._clock()))
            if used.rowcount == 0:
                return None
            query = select(device_links.c.participant_id).where(device_links.c.token_hash == token_hash)
            return str((await connection.execute(query)).scalar())

    def _good(self, token_hash: bytes) -> ColumnElement[bool]:
        unused = device_links.c.used_at.is_(None) & (device_links.c.expires_at > self._clock())
        return (device_links.c.token_hash == token_hash) & unused

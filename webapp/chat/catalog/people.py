"""People as they are shown: the name and the colour of each participant.

Owns the rows. Must not know how somebody proves who they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from webapp.chat.catalog.database import Database
from webapp.chat.catalog.schema import participants
from webapp.chat.messages import Participant

PERSON = (participants.c.id, participants.c.name, participants.c.hue, participants.c.guest)
"""The columns that ``person`` reads."""


def person(row: Row[Any]) -> Participant:
    return Participant(row.id, row.name, row.hue, bool(row.guest))


class People:
    """Rows of participants."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def get(self, participant_id: str) -> Participant | None:
        """The person with that id, or None."""
        query = select(*PERSON).where(participants.c.id == participant_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return person(row) if row else None

    async def remember(self, participant: Participant) -> None:
        """Store a person; somebody who is known stays as they are."""
        if await self.get(participant.id) is None:
            await self.change(participant)

    async def change(self, participant: Participant) -> None:
        """Store a person as they are shown from now on."""
        now = self._clock()
        shown = {"name": participant.name, "hue": participant.hue, "guest": int(participant.guest)}
        known = update(participants).where(participants.c.id == participant.id)
        new = insert(participants).values(id=participant.id, created_at=now, updated_at=now, **shown)
        try:
            async with self._database.write() as connection:
                changed = await connection.execute(known.values(updated_at=now, **shown))
                if changed.rowcount == 0:
                    await connection.execute(new)
        except IntegrityError:
            # Another process was first to store them.
            async with self._database.write() as connection:
                await connection.execute(known.values(updated_at=now, **shown))

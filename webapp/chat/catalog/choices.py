"""Which versions people look at, where a message or an answer has several.

Owns the rows, one per person and group of versions (``webapp.chat.branches``). Must not know what a version
is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, insert, select

from webapp.chat.catalog.database import Database
from webapp.chat.catalog.schema import choices


@dataclass(frozen=True, slots=True)
class Choice:
    """A person's version of something. ``pin`` is the one that was pinned for everybody when they chose."""

    version: str
    pin: str | None = None


class BranchChoices:
    """What people have chosen, by group."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, chat_id: str, participant_id: str) -> dict[str, Choice]:
        """Everything the person has chosen in the chat."""
        query = select(choices).where(_theirs(chat_id, participant_id))
        async with self._database.read() as connection:
            return {row.group: Choice(row.version, row.pin) for row in await connection.execute(query)}

    async def choose(self, chat_id: str, participant_id: str, group: str, choice: Choice) -> None:
        """Put ``choice`` in place of an earlier one."""
        row = {
            "chat_id": chat_id,
            "participant_id": participant_id,
            "group": group,
            "version": choice.version,
            "pin": choice.pin,
        }
        async with self._database.write() as connection:
            await connection.execute(
                delete(choices).where(_theirs(chat_id, participant_id), choices.c.group == group)
            )
            await connection.execute(insert(choices).values(row))

    async def forget(self, chat_id: str, participant_id: str, groups: Collection[str]) -> None:
        """Look at the newest version again."""
        async with self._database.write() as connection:
            await connection.execute(
                delete(choices).where(_theirs(chat_id, participant_id), choices.c.group.in_(groups))
            )


def in_effect(chosen: Mapping[str, Choice], pins: Mapping[str, str]) -> dict[str, str]:
    """What a person looks at, by group: what is pinned, unless they chose something else since."""
    own = {group: each.version for group, each in chosen.items() if each.pin == pins.get(group)}
    return {**pins, **own}


def _theirs(chat_id: str, participant_id: str) -> ColumnElement[bool]:
    return (choices.c.chat_id == chat_id) & (choices.c.participant_id == participant_id)

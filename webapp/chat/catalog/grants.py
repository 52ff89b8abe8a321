"""Who was let into which chat: grants, the links that give them, and bearer tokens.

Owns the rows. Must not know what a role permits (sharing/capabilities.py decides) nor ever see a token:
callers hand over its hash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import insert, or_, select, update

from webapp.chat.catalog.database import Database
from webapp.chat.catalog.people import PERSON, person
from webapp.chat.catalog.schema import api_tokens, chats, grants, links, participants
from webapp.chat.messages import Participant, Role


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom an API token speaks for, and the one chat it is good for."""

    participant: Participant
    chat_id: str


class Grants:
    """Rows of access."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def standing(self, chat_id: str, participant_id: str) -> tuple[str, Role | None] | None:
        """The chat's owner id and the participant's granted role; None if there is no such chat."""
        query = (
            select(chats.c.owner_id, grants.c.role)
            .outerjoin(grants, (grants.c.chat_id == chats.c.id) & (grants.c.participant_id == participant_id))
            .where(chats.c.id == chat_id, chats.c.deleted_at.is_(None))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        return row.owner_id, None if row.role is None else Role(row.role)

    async def holders(self, chat_id: str, role: Role) -> tuple[str, ...]:
        """The names of those who have the role or more: the owner, then whom they let in."""
        granted = select(grants.c.participant_id).where(grants.c.chat_id == chat_id, grants.c.role >= role)
        owner = select(chats.c.owner_id).where(chats.c.id == chat_id).scalar_subquery()
        query = (
            select(participants.c.name)
            .where(or_(participants.c.id == owner, participants.c.id.in_(granted)))
            .order_by(participants.c.id != owner, participants.c.created_at)
        )
        async with self._database.read() as connection:
            return tuple((await connection.execute(query)).scalars())

    async def add_link(self, token_hash: bytes, *, chat_id: str, role: Role, by: str) -> None:
        """Store a share link."""
        async with self._database.write() as connection:
            await connection.execute(
                insert(links).values(
                    token_hash=token_hash,
                    chat_id=chat_id,
                    role=int(role),
                    created_by=by,
                    created_at=self._clock(),
                )
            )

    async def redeem(self, token_hash: bytes, participant_id: str) -> str | None:
        """Give the participant what the link gives, never less than they had; return the chat id."""
        query = (
            select(links.c.chat_id, links.c.role, chats.c.owner_id)
            .join(chats, chats.c.id == links.c.chat_id)
            .where(links.c.token_hash == token_hash, chats.c.deleted_at.is_(None))
        )
        async with self._database.write() as connection:
            link = (await connection.execute(query)).first()
            if link is None:
                return None
            if link.owner_id == participant_id:
                return str(link.chat_id)
            mine = (grants.c.chat_id == link.chat_id) & (grants.c.participant_id == participant_id)
            held = (await connection.execute(select(grants.c.role).where(mine))).scalar()
            if held is None:
                await connection.execute(
                    insert(grants).values(
                        chat_id=link.chat_id,
                        participant_id=participant_id,
                        role=link.role,
                        link_hash=token_hash,
                        created_at=self._clock(),
                    )
                )
            elif held < link.role:
                await connection.execute(
                    update(grants).where(mine).values(role=link.role, link_hash=token_hash)
                )
        return str(link.chat_id)

    async def bearer(self, token_hash: bytes) -> Bearer | None:
        """Whom a bearer token speaks for."""
        query = (
            select(api_tokens.c.chat_id, *PERSON)
            .join(participants, participants.c.id == api_tokens.c.participant_id)
            .where(api_tokens.c.token_hash == token_hash)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return Bearer(person(row), row.chat_id) if row else None

"""Share links: what each gives, who came by it, and how it ends.

Owns the rows of links; what they give to whom is in ``grants.py``. Must not know what a role permits nor ever
see a token: callers hand over its hash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, or_, select, update

from webapp.chat.catalog.database import Database, Transaction
from webapp.chat.catalog.grants import Grant, add_arrival, current_grant, settle
from webapp.chat.catalog.people import PERSON, person
from webapp.chat.catalog.runs import lock_chat
from webapp.chat.catalog.schema import arrivals, chats, links, participants
from webapp.chat.messages import Participant, Role
from webapp.chat.since import Since


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link that works. ``chat_id`` is the chat it opens, which for a frozen copy is the copy."""

    token_hash: bytes
    chat_id: str
    frozen: bool
    grant: Grant
    opened: int
    created_at: float
    visitors: tuple[Participant, ...] = ()
    """Who came by it, the first one first; also those who were sent away."""


class Links:
    """Rows of links."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def add(self, chat_id: str, *, by: str, grant: Grant) -> None:
        """Store a link; ``grant.link_hash`` is its token's hash."""
        async with self._database.write() as connection:
            await connection.execute(
                insert(links).values(
                    token_hash=grant.link_hash,
                    chat_id=chat_id,
                    role=int(grant.role),
                    created_by=by,
                    from_message_id=grant.since.message_id if grant.since else None,
                    from_offset=grant.since.offset if grant.since else None,
                    expires_at=grant.expires_at,
                    created_at=self._clock(),
                )
            )

    async def of(self, chat_id: str) -> list[Link]:
        """The links that open the chat or a frozen copy of it, the newest first."""
        now = self._clock()
        query = (
            select(links, chats.c.frozen)
            .join(chats, chats.c.id == links.c.chat_id)
            .where(
                or_(chats.c.id == chat_id, (chats.c.parent_id == chat_id) & (chats.c.frozen != 0)),
                chats.c.deleted_at.is_(None),
                links.c.revoked_at.is_(None),
                or_(links.c.expires_at.is_(None), links.c.expires_at > now),
            )
            .order_by(links.c.created_at.desc(), links.c.token_hash)
        )
        came = (
            select(arrivals.c.link_hash, *PERSON)
            .join(participants, participants.c.id == arrivals.c.participant_id)
            .order_by(arrivals.c.seq)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(query)).all()
            by_link = came.where(arrivals.c.link_hash.in_([row.token_hash for row in found]))
            visitors: dict[bytes, list[Participant]] = {}
            for row in await connection.execute(by_link):
                visitors.setdefault(row.link_hash, []).append(person(row))
        return [_link(row, tuple(visitors.get(row.token_hash, ()))) for row in found]

    async def redeem(self, token_hash: bytes, participant_id: str) -> str | None:
        """Let the participant in by the link, beside whatever they had; return the chat id.

        None for a link that opens nothing: unknown, revoked, over, or opened before by somebody who was sent
        away since.
        """
        now = self._clock()
        query = (
            select(links, chats.c.owner_id)
            .join(chats, chats.c.id == links.c.chat_id)
            .where(
                links.c.token_hash == token_hash,
                links.c.revoked_at.is_(None),
                or_(links.c.expires_at.is_(None), links.c.expires_at > now),
                chats.c.deleted_at.is_(None),
            )
        )
        mine = (arrivals.c.link_hash == token_hash) & (arrivals.c.participant_id == participant_id)
        async with self._database.write() as connection:
            link = (await connection.execute(query)).first()
            if link is None:
                return None
            await lock_chat(connection, link.chat_id)
            before = (await connection.execute(select(arrivals.c.barred).where(mine))).first()
            if before is not None and before.barred:
                has = await current_grant(connection, link.chat_id, participant_id, now=now)
                return str(link.chat_id) if has else None
            one_more = update(links).where(links.c.token_hash == token_hash).values(opened=links.c.opened + 1)
            await connection.execute(one_more)
            if before is None and link.owner_id != participant_id:
                had = await current_grant(connection, link.chat_id, participant_id, now=now)
                await add_arrival(connection, link.chat_id, participant_id, _grant(link), created_at=now)
                await settle(connection, link.chat_id, participant_id, had=had, now=now, code="changed")
        return str(link.chat_id)

    async def revoke(self, token_hash: bytes, *, chat_id: str) -> str | None:
        """End the link, and what people have by it. The id of the chat it opened, which is ``chat_id`` or a
        frozen copy of it; None if there is no such link.
        """
        now = self._clock()
        query = (
            select(links.c.chat_id)
            .join(chats, chats.c.id == links.c.chat_id)
            .where(
                links.c.token_hash == token_hash,
                links.c.revoked_at.is_(None),
                or_(chats.c.id == chat_id, (chats.c.parent_id == chat_id) & (chats.c.frozen != 0)),
            )
        )
        async with self._database.write() as connection:
            opened = (await connection.execute(query)).scalar()
            if opened is None:
                return None
            await lock_chat(connection, opened)
            await connection.execute(
                update(links).where(links.c.token_hash == token_hash).values(revoked_at=now)
            )
            await _end_arrivals(connection, opened, token_hash, now=now)
        return str(opened)


async def _end_arrivals(connection: Transaction, chat_id: str, token_hash: bytes, *, now: float) -> None:
    ways = (arrivals.c.link_hash == token_hash) & arrivals.c.ended_at.is_(None)
    people = (await connection.execute(select(arrivals.c.participant_id).where(ways))).scalars().all()
    had = {each: await current_grant(connection, chat_id, each, now=now) for each in people}
    await connection.execute(update(arrivals).where(ways).values(ended_at=now))
    for each in people:
        await settle(connection, chat_id, each, had=had[each], now=now, code="revoked")


def _link(row: Row[Any], visitors: tuple[Participant, ...]) -> Link:
    return Link(
        token_hash=row.token_hash,
        chat_id=row.chat_id,
        frozen=bool(row.frozen),
        grant=_grant(row),
        opened=row.opened,
        created_at=row.created_at,
        visitors=visitors,
    )


def _grant(row: Row[Any]) -> Grant:
    since = None if row.from_offset is None else Since(row.from_message_id, row.from_offset)
    return Grant(role=Role(row.role), since=since, expires_at=row.expires_at, link_hash=row.token_hash)

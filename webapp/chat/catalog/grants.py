"""Who is in which chat, and what they may do there: standings, the people of a chat, bearer tokens.

A person may have come in by several ways (``arrivals``: links they opened, somebody who let them in); what
they have is the sum of those that last. ``settle`` keeps that sum in ``grants`` and notes what was lost. Must
not know what a role permits (sharing/capabilities.py decides) nor ever see a token: callers hand over its
hash.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, or_, select, update

from webapp.chat.catalog.database import Database, Transaction
from webapp.chat.catalog.losses import LossCode, note_loss
from webapp.chat.catalog.people import PERSON, person
from webapp.chat.catalog.runs import lock_chat
from webapp.chat.catalog.schema import api_tokens, arrivals, chats, grants, participants
from webapp.chat.messages import Participant, Role
from webapp.chat.since import Since


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom an API token speaks for, and the one chat it is good for."""

    participant: Participant
    chat_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What somebody has in a chat. ``since`` is None for the whole of it; ``link_hash`` names the link that
    gave the role, if one did. ``expires_at`` is when the last of it ends.
    """

    role: Role
    since: Since | None = None
    expires_at: float | None = None
    link_hash: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One person before one chat: ``grant`` is None if nobody has let them in."""

    owner_id: str
    frozen: bool
    grant: Grant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One person who was let into a chat."""

    participant: Participant
    grant: Grant


class Grants:
    """Rows of access."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def standing(self, chat_id: str, participant_id: str) -> Standing | None:
        """The participant's standing now; None if there is no such chat."""
        ways = arrivals.c
        query = (
            select(
                chats.c.owner_id,
                chats.c.frozen,
                ways.seq,
                ways.role,
                ways.from_message_id,
                ways.from_offset,
                ways.expires_at,
                ways.link_hash,
            )
            .outerjoin(arrivals, _theirs(chat_id, participant_id) & _lasts(self._clock()))
            .where(chats.c.id == chat_id, chats.c.deleted_at.is_(None))
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            return None
        grant = _sum([row for row in rows if row.seq is not None])
        return Standing(owner_id=rows[0].owner_id, frozen=bool(rows[0].frozen), grant=grant)

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

    async def people(self, chat_id: str) -> list[Holder]:
        """Everybody who was let in, the first one first; not the owner."""
        query = (
            select(grants, *PERSON)
            .join(participants, participants.c.id == grants.c.participant_id)
            .where(grants.c.chat_id == chat_id)
            .order_by(grants.c.created_at, grants.c.participant_id)
        )
        async with self._database.read() as connection:
            return [
                Holder(participant=person(row), grant=_grant(row)) for row in await connection.execute(query)
            ]

    async def give(self, chat_id: str, participant_id: str, role: Role) -> bool:
        """Have somebody who is in the chat be there in this role, by whatever way they came. What they may
        see of it stays, and until when. False if they are not.
        """
        now = self._clock()
        async with self._database.write() as connection:
            await lock_chat(connection, chat_id)
            had = await current_grant(connection, chat_id, participant_id, now=now)
            if had is None:
                return False
            await _overrule(connection, chat_id, participant_id, now=now)
            given = Grant(role=role, since=had.since, expires_at=had.expires_at)
            await add_arrival(connection, chat_id, participant_id, given, created_at=now)
            await settle(connection, chat_id, participant_id, had=had, now=now, code="removed")
        return True

    async def remove(self, chat_id: str, participant_id: str) -> bool:
        """Send somebody away; no link they have opened lets them in again. False if they were not in."""
        return await self._end(chat_id, participant_id, leaves=False)

    async def leave(self, chat_id: str, participant_id: str) -> bool:
        """Somebody goes away, as if they had never come. False if they were not in."""
        return await self._end(chat_id, participant_id, leaves=True)

    async def _end(self, chat_id: str, participant_id: str, *, leaves: bool) -> bool:
        now = self._clock()
        async with self._database.write() as connection:
            await lock_chat(connection, chat_id)
            had = await current_grant(connection, chat_id, participant_id, now=now)
            if had is None:
                return False
            if leaves:
                await connection.execute(delete(arrivals).where(_open_ways(chat_id, participant_id)))
            else:
                await _overrule(connection, chat_id, participant_id, now=now)
            await settle(connection, chat_id, participant_id, had=had, now=now, code="removed")
        return True

    async def end_expired(self) -> None:
        """Take away whatever has come to its time. Cheap when there is nothing."""
        now = self._clock()
        over = arrivals.c.ended_at.is_(None) & (arrivals.c.expires_at <= now)
        # Not distinct: for that SQLite would read all there are, in the order of another index.
        query = select(arrivals.c.chat_id, arrivals.c.participant_id).where(over)
        async with self._database.read() as connection:
            if not (await connection.execute(query.limit(1))).first():
                return
        async with self._database.write() as connection:
            rows = (await connection.execute(query)).all()
            for chat_id, participant_id in {(row.chat_id, row.participant_id) for row in rows}:
                await lock_chat(connection, chat_id)
                had = await current_grant(connection, chat_id, participant_id)
                theirs = _theirs(chat_id, participant_id) & over
                await connection.execute(update(arrivals).where(theirs).values(ended_at=now))
                await settle(connection, chat_id, participant_id, had=had, now=now, code="expired")

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


async def add_arrival(
    connection: Transaction, chat_id: str, participant_id: str, grant: Grant, *, created_at: float
) -> None:
    """Note one more way by which somebody has come in. ``settle`` has to follow."""
    await connection.execute(
        insert(arrivals).values(
            chat_id=chat_id,
            participant_id=participant_id,
            link_hash=grant.link_hash,
            role=int(grant.role),
            from_message_id=grant.since.message_id if grant.since else None,
            from_offset=grant.since.offset if grant.since else None,
            expires_at=grant.expires_at,
            created_at=created_at,
        )
    )


async def settle(
    connection: Transaction,
    chat_id: str,
    participant_id: str,
    *,
    had: Grant | None,
    now: float,
    code: LossCode,
) -> None:
    """Bring the person's row of ``grants`` up to date; ``had`` is what they had before. If it is less now,
    that is a loss, for the reason ``code``.
    """
    has = await current_grant(connection, chat_id, participant_id, now=now)
    mine = (grants.c.chat_id == chat_id) & (grants.c.participant_id == participant_id)
    if has is None:
        await connection.execute(delete(grants).where(mine))
    else:
        values = {
            "role": int(has.role),
            "link_hash": has.link_hash,
            "from_message_id": has.since.message_id if has.since else None,
            "from_offset": has.since.offset if has.since else None,
            "expires_at": has.expires_at,
        }
        changed = await connection.execute(update(grants).where(mine).values(values))
        if changed.rowcount == 0:
            key = {"chat_id": chat_id, "participant_id": participant_id, "created_at": now}
            await connection.execute(insert(grants).values(**key, **values))
    if had is not None and not _covers(has, had):
        await note_loss(connection, chat_id, participant_id, code=code if has is None else "changed", at=now)


async def current_grant(
    connection: Transaction, chat_id: str, participant_id: str, *, now: float | None = None
) -> Grant | None:
    """What all lasting ways give together; without ``now`` also those whose time has come."""
    lasts = arrivals.c.ended_at.is_(None) if now is None else _lasts(now)
    query = select(arrivals).where(_theirs(chat_id, participant_id) & lasts)
    return _sum((await connection.execute(query)).all())


async def _overrule(connection: Transaction, chat_id: str, participant_id: str, *, now: float) -> None:
    ways = _open_ways(chat_id, participant_id)
    await connection.execute(update(arrivals).where(ways).values(ended_at=now, barred=1))


def _open_ways(chat_id: str, participant_id: str) -> ColumnElement[bool]:
    return _theirs(chat_id, participant_id) & arrivals.c.ended_at.is_(None)


def _theirs(chat_id: str, participant_id: str) -> ColumnElement[bool]:
    return (arrivals.c.chat_id == chat_id) & (arrivals.c.participant_id == participant_id)


def _lasts(now: float) -> ColumnElement[bool]:
    return arrivals.c.ended_at.is_(None) & or_(arrivals.c.expires_at.is_(None), arrivals.c.expires_at > now)


def _sum(rows: Sequence[Row[Any]]) -> Grant | None:
    """The best of every way: the highest role, from the earliest message on, until the last one ends."""
    ways = [_grant(row) for row in rows]
    if not ways:
        return None
    best = max(ways, key=lambda way: (way.role, way.link_hash is None))
    whole = any(way.since is None for way in ways)
    ends = [way.expires_at for way in ways]
    return Grant(
        role=best.role,
        since=None if whole else min((way.since for way in ways if way.since), key=lambda one: one.offset),
        expires_at=None if None in ends else max(end for end in ends if end is not None),
        link_hash=best.link_hash,
    )


def _covers(has: Grant | None, had: Grant) -> bool:
    """Whether nothing of ``had`` is missing."""
    if has is None or has.role < had.role:
        return False
    return has.since is None or (had.since is not None and has.since.offset <= had.since.offset)


def _grant(row: Row[Any]) -> Grant:
    since = None if row.from_offset is None else Since(row.from_message_id, row.from_offset)
    return Grant(role=Role(row.role), since=since, expires_at=row.expires_at, link_hash=row.link_hash)

"""Each participant's own view of chats: where a chat stands in their list, how far they have read, what they
have begun to write.

Owns the rows and the query that makes a list of them. Must not know messages, nor who may see what beyond
who was let in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, ScalarSelect, exists, func, insert, or_, select, update

from webapp.chat.catalog.database import Database, Transaction
from webapp.chat.catalog.run_row import RunStatus
from webapp.chat.catalog.runs import lock_chat
from webapp.chat.catalog.schema import chats, grants, links, paused, runs, views
from webapp.chat.since import Since


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedChat:
    """A chat as it stands in somebody's list. Times are seconds since the epoch.

    ``unread`` messages are those after the last one they have seen. ``waiting`` runs have paused for a person
    and have not gone on. ``shared``: others may be in it.
    """

    id: str
    title: str | None
    owner_id: str
    created_at: float
    updated_at: float
    parent_id: str | None = None
    pinned: bool = False
    archived: bool = False
    unread: int = 0
    waiting: int = 0
    running: bool = False
    shared: bool = False
    since: Since | None = None
    """From where on they may see it, if not all of it; then ``title`` may tell too much."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody has begun to write, and when; empty if they have not."""

    text: str = ""
    at: float | None = None

    @property
    def at_ms(self) -> int | None:
        """When, in milliseconds."""
        return None if self.at is None else round(self.at * 1000)


NO_DRAFT = Draft()


@dataclass(frozen=True, slots=True)
class OwnView:
    """What a page of the chat begins with: the last message they have seen, and their draft."""

    read_to: str | None = None
    draft: Draft = NO_DRAFT


class Views:
    """Rows of views, by chat and participant."""

    def __init__(self, database: Database, *, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def of(self, participant_id: str, *, limit: int = 200) -> list[ListedChat]:
        """The chats the participant owns or was let into: those they have pinned, then the latest first."""
        return await self._list(participant_id, limit=limit)

    async def relatives(
        self, participant_id: str, chat_id: str, *, parent_id: str | None
    ) -> tuple[ListedChat | None, list[ListedChat]]:
        """Of those chats, the one that a chat was forked from, and its own forks."""
        family = or_(chats.c.id == parent_id, chats.c.parent_id == chat_id)
        found = await self._list(participant_id, family, limit=200)
        parent = next((each for each in found if each.id == parent_id), None)
        return parent, [each for each in found if each.parent_id == chat_id]

    async def _list(
        self, participant_id: str, *conditions: ColumnElement[bool], limit: int
    ) -> list[ListedChat]:
        now = self._clock()
        theirs = (grants.c.chat_id == chats.c.id) & (grants.c.participant_id == participant_id)
        valid = or_(grants.c.expires_at.is_(None), grants.c.expires_at > now)
        # A frozen copy is its readers'; whoever made it has the chat itself.
        owned = select(chats.c.id).where(chats.c.owner_id == participant_id, chats.c.frozen == 0)
        let_in = select(grants.c.chat_id).where(grants.c.participant_id == participant_id, valid)
        looked_at = (views.c.chat_id == chats.c.id) & (views.c.participant_id == participant_id)
        running = select(runs.c.chat_id).where(runs.c.status == RunStatus.RUNNING)
        query = (
            select(
                chats,
                views.c.pinned_at,
                views.c.archived_at,
                views.c.read_count,
                grants.c.from_message_id,
                grants.c.from_offset,
                chats.c.id.in_(running).label("running"),
                _waiting().label("waiting"),
                _shared(now).label("shared"),
            )
            .outerjoin(grants, theirs & valid)
            .outerjoin(views, looked_at)
            .where(chats.c.id.in_(owned.union(let_in)), chats.c.deleted_at.is_(None), *conditions)
            .order_by(views.c.pinned_at.is_(None), chats.c.updated_at.desc(), chats.c.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [_listed(row, participant_id) for row in await connection.execute(query)]

    async def mark(
        self, chat_id: str, participant_id: str, *, pinned: bool | None = None, archived: bool | None = None
    ) -> None:
        """Pin or archive the chat, or undo that. None leaves it as it is."""
        now = self._clock()
        wanted = {"pinned_at": pinned, "archived_at": archived}
        changes = {name: now if on else None for name, on in wanted.items() if on is not None}
        if changes:
            await self._change(chat_id, participant_id, changes)

    async def read(self, chat_id: str, participant_id: str, *, count: int, message_id: str) -> bool:
        """Note that they have seen the first ``count`` messages; whether that was news."""
        async with self._database.write() as connection:
            return await note_read(connection, chat_id, participant_id, count=count, message_id=message_id)

    async def own(self, chat_id: str, participant_id: str) -> OwnView:
        """Their view of the chat."""
        columns = (views.c.read_message_id, views.c.draft, views.c.draft_at)
        async with self._database.read() as connection:
            row = (await connection.execute(select(*columns).where(_of(chat_id, participant_id)))).first()
        return OwnView(row.read_message_id, Draft(row.draft or "", row.draft_at)) if row else OwnView()

    async def write_draft(self, chat_id: str, participant_id: str, text: str) -> Draft:
        """Keep ``text`` in place of what was there; empty forgets it."""
        draft = Draft(text, self._clock())
        await self._change(chat_id, participant_id, {"draft": text or None, "draft_at": draft.at})
        return draft

    async def members(self, chat_id: str) -> list[str]:
        """Everybody in whose list the chat stands: the owner, and who was let in."""
        now = self._clock()
        granted = select(grants.c.participant_id).where(
            grants.c.chat_id == chat_id, or_(grants.c.expires_at.is_(None), grants.c.expires_at > now)
        )
        query = select(chats.c.owner_id).where(chats.c.id == chat_id).union(granted)
        async with self._database.read() as connection:
            return sorted((await connection.execute(query)).scalars())

    async def _change(self, chat_id: str, participant_id: str, changes: Mapping[str, object]) -> None:
        async with self._database.write() as connection:
            await _upsert(connection, chat_id, participant_id, changes)


async def note_all_read(connection: Transaction, chat_id: str, *, count: int) -> None:
    """Have everybody in the chat have seen its first ``count`` messages, in somebody's transaction."""
    let_in = select(grants.c.participant_id).where(grants.c.chat_id == chat_id)
    everybody = select(chats.c.owner_id).where(chats.c.id == chat_id).union(let_in)
    for participant_id in (await connection.execute(everybody)).scalars().all():
        await note_read(connection, chat_id, participant_id, count=count, message_id=None)


async def note_read(
    connection: Transaction, chat_id: str, participant_id: str, *, count: int, message_id: str | None
) -> bool:
    """As ``Views.read``, in somebody's transaction. Nobody unreads by looking at an earlier message."""
    await lock_chat(connection, chat_id)  # or one who has seen less could have the last word
    mine = _of(chat_id, participant_id)
    known = (await connection.execute(select(views.c.read_count).where(mine))).scalar()
    if known is not None and known >= count:
        return False
    changes = {"read_count": count, "read_message_id": message_id}
    await _upsert(connection, chat_id, participant_id, changes)
    return True


async def _upsert(
    connection: Transaction, chat_id: str, participant_id: str, changes: Mapping[str, object]
) -> None:
    await lock_chat(connection, chat_id)  # or two would insert the row
    mine = _of(chat_id, participant_id)
    if (await connection.execute(update(views).where(mine).values(changes))).rowcount:
        return
    row = {"chat_id": chat_id, "participant_id": participant_id, **changes}
    await connection.execute(insert(views).values(row))


def _of(chat_id: str, participant_id: str) -> ColumnElement[bool]:
    return (views.c.chat_id == chat_id) & (views.c.participant_id == participant_id)


def _waiting() -> ScalarSelect[int]:
    """How many runs of the chat wait for somebody: the last attempts at a message that have paused."""
    later = runs.alias()
    going_on = exists().where(
        later.c.chat_id == runs.c.chat_id,
        later.c.message_id == runs.c.message_id,
        later.c.agent_id == runs.c.agent_id,
        later.c.attempt > runs.c.attempt,
    )
    count = select(func.count()).select_from(runs).where(runs.c.chat_id == chats.c.id, paused, ~going_on)
    return count.correlate(chats).scalar_subquery()


def _shared(now: float) -> ColumnElement[bool]:
    """Whether anybody was let in, or could be by a link."""
    let_in = grants.alias()
    open_link = links.c.revoked_at.is_(None) & or_(links.c.expires_at.is_(None), links.c.expires_at > now)
    return or_(
        exists().where(let_in.c.chat_id == chats.c.id),
        exists().where(links.c.chat_id == chats.c.id, open_link),
    )


def _since(row: Row[Any]) -> Since | None:
    return None if row.from_offset is None else Since(row.from_message_id, row.from_offset)


def _listed(row: Row[Any], participant_id: str) -> ListedChat:
    read = row.read_count
    if read is None:
        # Of a chat that one sees a part of, nobody knows how much is new before it was opened.
        read = row.message_count if row.from_message_id else 0
    since = _since(row) if row.owner_id != participant_id else None
    return ListedChat(
        id=row.id,
        title=row.title,
        owner_id=row.owner_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        parent_id=row.parent_id,
        pinned=row.pinned_at is not None,
        archived=row.archived_at is not None,
        unread=max(row.message_count - read, 0),
        waiting=0 if since else row.waiting,  # what waits may be in what they do not see
        running=bool(row.running),
        shared=bool(row.shared) or row.owner_id != participant_id,
        since=since,
    )

"""The catalog: chats, and the door to the inbox, the people, the grants and the cached snapshots.

Owns what is *about* conversations. The conversation itself is in the stream; the only parts of it that ever
stand here are messages accepted and not yet appended, and cached snapshots that can be thrown away.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, insert, select, update
from sqlalchemy.exc import IntegrityError

from webapp.chat.catalog.answers import Answers
from webapp.chat.catalog.choices import BranchChoices
from webapp.chat.catalog.database import Database
from webapp.chat.catalog.deleted import DeletedChats
from webapp.chat.catalog.devices import DeviceLinks
from webapp.chat.catalog.grants import Grants
from webapp.chat.catalog.links import Links
from webapp.chat.catalog.losses import LossRows
from webapp.chat.catalog.people import People
from webapp.chat.catalog.runs import RunInbox
from webapp.chat.catalog.schema import api_tokens, chats
from webapp.chat.catalog.snapshots import SnapshotCache
from webapp.chat.catalog.texts import IndexedText, Texts, put_texts
from webapp.chat.catalog.views import Views, note_all_read, note_read
from webapp.chat.errors import Conflict
from webapp.chat.messages import Participant, one_line

TITLE_LENGTH = 80


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat without its conversation. Times are seconds since the epoch."""

    id: str
    title: str | None
    owner_id: str
    created_at: float
    updated_at: float
    deleted_at: float | None = None
    parent_id: str | None = None
    """The chat that it was forked from."""
    frozen: bool = False


class Catalog:
    """Everything about chats that is not in their streams."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        new_token: Callable[[], str] = lambda: secrets.token_urlsafe(24),
        grace: float = 10.0,
    ) -> None:
        """``grace`` is how many seconds a deleted chat can be had back."""
        self._database = database
        self._clock = clock
        self._new_token = new_token
        self.runs = RunInbox(database)
        self.answers = Answers(database)
        self.grants = Grants(database, clock=clock)
        self.people = People(database, clock=clock)
        self.devices = DeviceLinks(database, clock=clock)
        self.links = Links(database, clock=clock)
        self.losses = LossRows(database, clock=clock)
        self.deleted = DeletedChats(database, clock=clock, grace=grace)
        self.choices = BranchChoices(database)
        self.snapshots = SnapshotCache(database)
        self.texts = Texts(database)
        self.views = Views(database, clock=clock)

    @classmethod
    async def open(
        cls, database_url: str, *, clock: Callable[[], float] = time.time, grace: float = 10.0
    ) -> Catalog:
        """Open ``sqlite:///file`` or ``postgresql://…``, creating the schema if it is missing."""
        return cls(await Database.open(database_url), clock=clock, grace=grace)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._database.aclose()

    async def ping(self) -> None:
        """Raise unless the database answers."""
        async with self._database.read() as connection:
            await connection.execute(select(1))

    async def create_chat(
        self,
        chat_id: str,
        *,
        owner: Participant,
        title: str | None = None,
        parent_id: str | None = None,
        fork_message_id: str | None = None,
    ) -> tuple[Chat, bool, str | None]:
        """Create the chat unless it exists.

        Returns it, whether this call created it, and (then only) a bearer token for API clients, which is
        stored as a hash and cannot be asked for again. Raises Conflict for an id whose chat was deleted.
        """
        now = self._clock()
        token = self._new_token()
        chat = Chat(chat_id, clean_title(title), owner.id, now, now, parent_id=parent_id)
        try:
            async with self._database.write() as connection:
                await connection.execute(
                    insert(chats).values(
                        id=chat.id,
                        title=chat.title,
                        owner_id=owner.id,
                        parent_id=parent_id,
                        fork_message_id=fork_message_id,
                        created_at=now,
                        updated_at=now,
                    )
                )
                await connection.execute(
                    insert(api_tokens).values(
                        token_hash=token_hash(token), chat_id=chat_id, participant_id=owner.id, created_at=now
                    )
                )
        except IntegrityError:
            existing = await self.get_chat(chat_id)
            if existing is None:
                raise Conflict("That chat was deleted.", code="chat-deleted") from None
            return existing, False, None
        await self.people.remember(owner)
        return chat, True, token

    async def get_chat(self, chat_id: str) -> Chat | None:
        """The chat, or None if it never was or is deleted."""
        async with self._database.read() as connection:
            row = (await connection.execute(_living(chats.c.id == chat_id))).first()
        return _chat(row) if row else None

    async def was_deleted(self, chat_id: str) -> bool:
        """Whether that is the id of a chat that was deleted. It stays taken, and can still be had back."""
        query = select(chats.c.id).where(chats.c.id == chat_id, chats.c.deleted_at.is_not(None))
        async with self._database.read() as connection:
            return (await connection.execute(query)).first() is not None

    async def add_copy(self, chat_id: str, *, of: Chat, owner_id: str) -> None:
        """A frozen copy of a chat, of which only readers will know."""
        now = self._clock()
        async with self._database.write() as connection:
            await connection.execute(
                insert(chats).values(
                    id=chat_id,
                    title=of.title,
                    owner_id=owner_id,
                    parent_id=of.id,
                    frozen=1,
                    created_at=now,
                    updated_at=now,
                )
            )

    async def touch_chat(self, chat_id: str, *, title: str | None = None) -> None:
        """Note that something happened; ``title`` is taken only by a chat that has none."""
        changes: dict[str, object] = {"updated_at": self._clock()}
        async with self._database.write() as connection:
            await connection.execute(update(chats).where(chats.c.id == chat_id).values(changes))
            if cleaned := clean_title(title):
                untitled = (chats.c.id == chat_id) & chats.c.title.is_(None)
                await connection.execute(update(chats).where(untitled).values(title=cleaned))

    async def rename_chat(self, chat_id: str, title: str) -> str | None:
        """Give the chat a title; as it is stored, or None if nothing of it can be shown."""
        cleaned = clean_title(title)
        if cleaned is not None:
            async with self._database.write() as connection:
                await connection.execute(update(chats).where(chats.c.id == chat_id).values(title=cleaned))
        return cleaned

    async def note_messages(
        self,
        chat_id: str,
        *,
        count: int,
        changed: Sequence[IndexedText],
        gone: Collection[str] = (),
        read: Mapping[str, tuple[int, str]] | None = None,
    ) -> None:
        """Note how many messages the chat has, and what of them can be searched for. ``read``: who has seen
        how many of them, and the last one's id.
        """
        read = read or {}
        chat = chats.c.id == chat_id
        async with self._database.write() as connection:
            before = (await connection.execute(select(chats.c.message_count).where(chat))).scalar() or 0
            await connection.execute(update(chats).where(chat).values(message_count=count))
            await put_texts(connection, chat_id, changed, gone=gone, now=self._clock())
            if before < 0:
                # What was said before anybody counted is news to nobody.
                await note_all_read(connection, chat_id, count=count - len(read))
            for participant_id, (seen, last) in read.items():
                await note_read(connection, chat_id, participant_id, count=seen, message_id=last)


def token_hash(token: str) -> bytes:
    """What is stored of a token: a digest suffices, because tokens are random and long."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def _living(condition: ColumnElement[bool]) -> Select[Any]:
    return select(chats).where(condition, chats.c.deleted_at.is_(None))


def _chat(row: Row[Any]) -> Chat:
    return Chat(
        id=row.id,
        title=row.title,
        owner_id=row.owner_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
        parent_id=row.parent_id,
        frozen=bool(row.frozen),
    )


def clean_title(title: str | None) -> str | None:
    """One line of at most ``TITLE_LENGTH`` characters that can be shown, or None."""
    return one_line(title or "", most=TITLE_LENGTH) or None

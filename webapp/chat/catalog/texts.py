"""What can be searched for: the texts of messages and titles, and the index over them.

Owns the rows, and how a query is put to the database: SQLite's FTS5, or PostgreSQL's full text. Must not know
who may see what beyond the chats a caller names, nor where texts come from.

Words are found by how they begin, without regard to case, and in SQLite to accents. A query is only ever
words: whatever else it holds means nothing to the index.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, insert, select, text, update

from webapp.chat.catalog.database import Database, Transaction
from webapp.chat.catalog.schema import chats, texts

_WORD: Final = re.compile(r"\w+")
_MAX_WORDS: Final = 8
_MAX_QUERY: Final = 400

# Control characters, which no stored text has.
_BEGIN, _END = "\x02", "\x03"
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f]")

# So much of a text can be searched: PostgreSQL's index takes a megabyte of words and refuses more.
_MAX_TEXT: Final = 200_000

# Rows of one statement: databases count its parameters.
_ROWS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedText:
    """A text of a chat: a message's, or with an empty ``message_id`` its title."""

    message_id: str
    name: str
    said_at: float | None
    digest: bytes
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A text that was found. ``snippet`` is some of it, in pieces: each with whether it is a match."""

    chat_id: str
    message_id: str
    name: str
    said_at: float | None
    snippet: tuple[tuple[str, bool], ...]


def words_of(query: str) -> list[str]:
    """What is searched for."""
    return _WORD.findall(query[:_MAX_QUERY])[:_MAX_WORDS]


class Texts:
    """All texts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def digests(self, chat_id: str, message_ids: Collection[str] | None = None) -> dict[str, bytes]:
        """Of each indexed text of the chat, by message id; or of those that are named."""
        query = select(texts.c.message_id, texts.c.digest).where(texts.c.chat_id == chat_id)
        if message_ids is not None:
            query = query.where(texts.c.message_id.in_(message_ids))
        async with self._database.read() as connection:
            return {row.message_id: row.digest for row in await connection.execute(query)}

    async def unindexed(self, chat_ids: Collection[str]) -> list[str]:
        """Which of these chats have never been looked through, the latest first."""
        query = (
            select(chats.c.id)
            .where(chats.c.id.in_(chat_ids), chats.c.indexed_at.is_(None))
            .order_by(chats.c.updated_at.desc())
        )
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())

    async def search(self, query: str, chat_ids: Sequence[str], *, limit: int) -> list[Hit]:
        """The best matches in these chats. What is no word finds nothing."""
        words = words_of(query)
        if not words or not chat_ids:
            return []
        dialect = _DIALECTS[self._database.dialect]
        values = {"query": dialect.query(words), "chats": list(chat_ids), "limit": limit}
        statement = text(dialect.statement).bindparams(bindparam("chats", expanding=True))
        async with self._database.read() as connection:
            found = await connection.execute(statement.bindparams(**values))
            return [_hit(row) for row in found]


async def put_texts(
    connection: Transaction,
    chat_id: str,
    changed: Sequence[IndexedText],
    *,
    gone: Collection[str],
    now: float,
) -> None:
    """Bring the chat's texts up to date, in somebody's transaction: ``gone`` are ids of messages that are no
    more.
    """
    stale = [*gone, *(each.message_id for each in changed)]
    for at in range(0, len(stale), _ROWS):
        those = texts.c.message_id.in_(stale[at : at + _ROWS])
        await connection.execute(delete(texts).where(texts.c.chat_id == chat_id, those))
    rows = [
        {
            "chat_id": chat_id,
            "message_id": each.message_id,
            "name": each.name,
            "said_at": each.said_at,
            "digest": each.digest,
            "text": _CONTROL.sub(" ", each.text[:_MAX_TEXT]),
        }
        for each in changed
    ]
    for at in range(0, len(rows), _ROWS):
        await connection.execute(insert(texts).values(rows[at : at + _ROWS]))
    await connection.execute(update(chats).where(chats.c.id == chat_id).values(indexed_at=now))


@dataclass(frozen=True, slots=True)
class _Dialect:
    """One database's way to search. ``word`` is one word of a query, ``both`` what joins two."""

    statement: str
    word: str
    both: str

    def query(self, words: Sequence[str]) -> str:
        return self.both.join(self.word.format(word) for word in words)


_DIALECTS: Final[Mapping[str, _Dialect]] = {
    "sqlite": _Dialect(
        """SELECT found.chat_id, found.message_id, found.name, found.said_at,
              snippet(texts_index, 0, char(2), char(3), '…', 18) AS snippet
            FROM texts_index JOIN texts AS found ON found.id = texts_index.rowid
            WHERE texts_index MATCH :query AND found.chat_id IN :chats
            ORDER BY found.message_id <> '', rank, found.said_at DESC LIMIT :limit""",
        word='"{}"*',
        both=" ",
    ),
    "postgresql": _Dialect(
        """SELECT found.chat_id, found.message_id, found.name, found.said_at,
              ts_headline('simple', found.text, wanted,
                'StartSel=' || chr(2) || ', StopSel=' || chr(3) || ', MaxWords=18, MinWords=8') AS snippet
            FROM texts AS found, to_tsquery('simple', :query) AS wanted
            WHERE to_tsvector('simple', found.text) @@ wanted AND found.chat_id IN :chats
            ORDER BY found.message_id <> '', ts_rank(to_tsvector('simple', found.text), wanted) DESC,
              found.said_at DESC LIMIT :limit""",
        word="{}:*",
        both=" & ",
    ),
}


def _hit(row: Row[Any]) -> Hit:
    return Hit(
        chat_id=row.chat_id,
        message_id=row.message_id,
        name=row.name,
        said_at=row.said_at,
        snippet=tuple(piece for piece in _pieces(row.snippet) if piece[0]),
    )


def _pieces(snippet: str) -> Iterator[tuple[str, bool]]:
    """The snippet cut at its marks."""
    before, *marked = " ".join(snippet.split()).split(_BEGIN)
    yield before, False
    for each in marked:
        match, _, after = each.partition(_END)
        yield match, True
        yield after, False

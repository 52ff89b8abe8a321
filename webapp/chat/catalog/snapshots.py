"""Folds of streams, kept so that a restart need not replay them.

Owns one row per stream. Must not know what a snapshot is: it stores bytes under (stream, reducer version).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from webapp.chat.catalog.database import Database
from webapp.chat.catalog.schema import snapshots


@dataclass(frozen=True, slots=True)
class CachedSnapshot:
    """The fold of a stream up to ``offset``, as JSON."""

    offset: str
    body: bytes


class SnapshotCache:
    """The latest fold of each stream."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, path: str, *, reducer_version: int) -> CachedSnapshot | None:
        """The cached fold of ``path``, or None if there is none made by this reducer."""
        query = select(snapshots.c.offset, snapshots.c.body).where(
            snapshots.c.path == path, snapshots.c.reducer_version == reducer_version
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return CachedSnapshot(row.offset, row.body) if row else None

    async def put(self, path: str, snapshot: CachedSnapshot, *, reducer_version: int) -> None:
        """Replace the fold of ``path``."""
        async with self._database.write() as connection:
            await connection.execute(delete(snapshots).where(snapshots.c.path == path))
            await connection.execute(
                insert(snapshots).values(
                    path=path,
                    offset=snapshot.offset,
                    reducer_version=reducer_version,
                    body=snapshot.body,
                )
            )

    async def drop(self, path: str) -> None:
        """Forget the fold of ``path``."""
        async with self._database.write() as connection:
            await connection.execute(delete(snapshots).where(snapshots.c.path == path))

"""The catalog's connection to a database: transactions, pragmas, schema.

Owns the engine. Must not know one table from another beyond creating them all. SQLite is the default,
PostgreSQL is chosen by URL.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Executable, event, insert, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.engine.url import URL
from sqlalchemy.exc import ArgumentError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from webapp.chat.catalog.schema import SCHEMA_VERSION, STEPS, metadata, schema_version
from webapp.chat.errors import Unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

_DRIVERS: Mapping[str, str] = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}


class CatalogUnusable(Exception):
    """The database cannot be opened. The text says which and why, without its password."""


class CatalogTooNew(CatalogUnusable):
    """The database was written by a later version of this program."""


class Database:
    """One engine with ``read()`` and ``write()`` transactions."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.dialect = engine.dialect.name
        # SQLite has one writer. Waiting here is fair and costs nothing; its own busy handler sleeps and
        # starves.
        self._writer = asyncio.Lock() if self.dialect == "sqlite" else None

    @classmethod
    async def open(cls, url: str) -> Database:
        """Connect to ``url`` and create what is missing. Raises CatalogUnusable."""
        target = _with_async_driver(url)
        try:
            return await cls._open(target)
        except ModuleNotFoundError as missing:
            raise CatalogUnusable(
                f"{target.drivername} needs {missing.name}: install durable-chat[postgres]."
            ) from missing
        except (SQLAlchemyError, ImportError, OSError) as error:
            shown = target.render_as_string(hide_password=True)
            raise CatalogUnusable(f"The catalog {shown} cannot be opened: {_cause(error)}.") from error

    @classmethod
    async def _open(cls, target: URL) -> Database:
        # Parameters are people's words: no error may show them, whoever logs it.
        engine = create_async_engine(target, hide_parameters=True)
        if target.get_backend_name() == "sqlite":
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(engine.sync_engine, "begin", _begin_sqlite)
        try:
            async with engine.connect() as connection:
                await connection.execution_options(writes=True)
                await connection.run_sync(metadata.create_all)
                await _check_version(connection)
                await connection.commit()
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A transaction that only reads. Raises Unavailable when the database does not answer."""
        with _translated():
            async with self._transaction(writes=False) as transaction:
                yield transaction

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """A transaction that is durable once the block has been left without an exception.

        Raises Unavailable when the database does not answer, is locked or has no room.
        """
        with _translated():
            async with self._writer or nullcontext(), self._transaction(writes=True) as transaction:
                yield transaction

    @asynccontextmanager
    async def _transaction(self, *, writes: bool) -> AsyncIterator[Transaction]:
        connection = self._engine.connect()
        try:
            await _whole(connection.start())
            await _whole(connection.execution_options(writes=writes))
            yield Transaction(connection)
            if writes:
                await _whole(connection.commit())
        finally:
            if connection.sync_connection is not None:
                await _whole(connection.close())


class Transaction:
    """What the block of a ``read`` or a ``write`` has."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def execute(self, statement: Executable) -> CursorResult[*tuple[Any, ...]]:
        """The statement's result."""
        return await _whole(self._connection.execute(statement))


async def _whole(step: Coroutine[Any, Any, T]) -> T:
    """Do ``step`` to its end even if the caller is cancelled meanwhile, and cancel the caller then.

    Cut off in the middle, SQLite's driver would keep the connection, its transaction and the lock.
    """
    task = asyncio.create_task(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise


@contextmanager
def _translated() -> Iterator[None]:
    """What is the database's affair and not a caller's mistake is logged, and refused with a sentence."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        # Not the error itself: its text has the statement with its parameters, which are people's words.
        logger.error("the catalog does not answer: %s", _cause(error))
        raise Unavailable("The chat cannot be reached right now. Try again in a moment.") from error


def _cause(error: BaseException) -> BaseException:
    return getattr(error, "orig", None) or error


def _with_async_driver(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise CatalogUnusable("The catalog's URL cannot be read: see DURABLE_CHAT_DATABASE_URL.") from None
    driver = _DRIVERS.get(parsed.drivername)
    return parsed.set(drivername=driver) if driver else parsed


async def _check_version(connection: AsyncConnection) -> None:
    # Locked, so that of several processes that start at once one takes the steps.
    query = select(schema_version.c.version).with_for_update()
    found = (await connection.execute(query)).scalar()
    if found is None:
        await connection.execute(insert(schema_version).values(version=SCHEMA_VERSION))
        return
    if found == SCHEMA_VERSION:
        return
    if found > SCHEMA_VERSION:
        raise CatalogTooNew(f"The catalog has schema {found}, this program knows up to {SCHEMA_VERSION}.")
    for version in range(found + 1, SCHEMA_VERSION + 1):
        step = STEPS[version]
        for statement in (step,) if isinstance(step, str) else step:
            await connection.execute(text(statement))
    await connection.execute(update(schema_version).values(version=SCHEMA_VERSION))


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: _begin_sqlite does, so that it can say which kind.
    connection.isolation_level = None
    cursor = connection.cursor()
    # First the patience: other processes may be opening the same file.
    for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    # A writer takes the write lock at once: one that starts as a reader cannot always be upgraded.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

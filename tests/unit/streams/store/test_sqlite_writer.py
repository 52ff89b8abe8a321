"""When a transaction fails, nobody in it was accepted, and the next one works."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from webapp.streams.protocol.commands import Append, Create
from webapp.streams.protocol.errors import StreamConflict, StreamsUnavailable
from webapp.streams.protocol.offsets import START
from webapp.streams.store.base import PageLimit
from webapp.streams.store.sqlite import SqliteStore
from webapp.streams.store.sqlite_transaction import Transaction

LIMIT = PageLimit(size=1 << 20, units=1 << 20)
ONE = Append(chunk=b"1", content_type="application/json")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(tmp_path)
    await store.create("s", Create(content_type="application/json"))
    yield store
    await store.aclose()


async def together(store: SqliteStore, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """The outcomes of calls that share one transaction: they gather while the writer is kept busy."""
    started, release = threading.Event(), threading.Event()

    def occupy(tx: Transaction) -> None:
        started.set()
        release.wait(20)

    busy = asyncio.create_task(store._writer.submit(occupy))
    await asyncio.to_thread(started.wait)
    waiting = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    release.set()
    await busy
    return await asyncio.gather(*waiting, return_exceptions=True)


def broken(tx: Transaction) -> None:
    tx.connection.execute("INSERT INTO chunks VALUES (1, 99, x'00')")
    raise sqlite3.OperationalError("disk I/O error")


def buggy(tx: Transaction) -> None:
    raise ZeroDivisionError


async def test_a_failure_takes_its_whole_transaction_along(store: SqliteStore) -> None:
    ticket = store.ticket("s")
    found = await together(
        store, store.append("s", ONE), store._writer.submit(broken), store.append("s", ONE)
    )
    assert [type(outcome) for outcome in found] == [StreamsUnavailable] * 3
    assert ticket.fired  # readers look again rather than trust what they remember
    assert (await store.read("s", START, limit=LIMIT)).chunks == ()
    assert (await store.append("s", ONE)).record.position == 1
    assert (await store.read("s", START, limit=LIMIT)).chunks == (b"1",)


async def test_a_bug_is_told_to_the_one_who_made_it(store: SqliteStore) -> None:
    found = await together(store, store._writer.submit(buggy), store.append("s", ONE))
    assert [type(outcome) for outcome in found] == [ZeroDivisionError, StreamsUnavailable]
    assert (await store.append("s", ONE)).record.position == 1


async def test_a_refusal_harms_nobody_else(store: SqliteStore) -> None:
    foreign = Append(chunk=b"x", content_type="text/plain")
    found = await together(store, store.append("s", ONE), store.append("s", foreign), store.append("s", ONE))
    assert isinstance(found[1], StreamConflict)
    assert (await store.read("s", START, limit=LIMIT)).chunks == (b"1", b"1")


async def test_closing_commits_what_was_asked_for_and_then_refuses(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "other")
    await store.create("s", Create(content_type="application/json"))
    pending = [asyncio.create_task(store.append("s", ONE)) for _ in range(20)]
    await asyncio.sleep(0)
    await store.aclose()
    assert {outcome.record.position for outcome in await asyncio.gather(*pending)} == set(range(1, 21))
    with pytest.raises(StreamsUnavailable):
        await store.append("s", ONE)
    with pytest.raises(StreamsUnavailable):
        await store.read("s", START, limit=LIMIT)
    reopened = SqliteStore.open(tmp_path / "other")
    assert (await reopened.head("s")).position == 20
    await reopened.aclose()

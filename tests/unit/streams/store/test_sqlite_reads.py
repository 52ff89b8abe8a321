"""A page that many ask for at once is read once, and never after something newer was seen."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import aeventually
from webapp.streams.protocol.commands import Append, Create
from webapp.streams.protocol.errors import StreamNotFound
from webapp.streams.protocol.offsets import START
from webapp.streams.store import sqlite_tables
from webapp.streams.store.base import Page, PageLimit
from webapp.streams.store.sqlite import SqliteStore

ALL = PageLimit(size=1 << 24, units=1 << 24)
TEXT = "text/plain"


class Reads:
    """Reads from disk, of which each waits until the test lets them ``go``."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = threading.Event()
        self._read = sqlite_tables.read

    def __call__(self, connection: sqlite3.Connection, **of: Any) -> Page:
        self.begun += 1
        self.go.wait(15)
        return self._read(connection, **of)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    reads = Reads()
    monkeypatch.setattr(sqlite_tables, "read", reads)
    return reads


@pytest.fixture
async def store(tmp_path: Path, reads: Reads) -> AsyncIterator[SqliteStore]:
    """With a stream ``s`` of 100 kB, of which the tail in memory is a part."""
    store = SqliteStore.open(tmp_path)
    await store.create("s", Create(content_type=TEXT))
    for _ in range(10):
        await store.append("s", Append(chunk=b"x" * 10_000, content_type=TEXT))
    yield store
    reads.go.set()
    await store.aclose()


def read(store: SqliteStore, *, size: int = 1 << 24) -> asyncio.Task[Page]:
    limit = PageLimit(size=size, units=1 << 24)
    return asyncio.create_task(store.read("s", START, limit=limit))


async def test_a_crowd_shares_a_page(store: SqliteStore, reads: Reads) -> None:
    crowd = [read(store) for _ in range(50)]
    await aeventually(lambda: reads.begun == 1)
    gone = read(store)
    await asyncio.sleep(0)
    gone.cancel()
    reads.go.set()
    assert {page.next.position for page in await asyncio.gather(*crowd)} == {100_000}
    assert gone.cancelled()
    assert reads.begun == 1
    assert (await store.read("s", START, limit=ALL)).up_to_date
    assert reads.begun == 2, "it is not kept"


async def test_different_pages_are_read_apart(store: SqliteStore, reads: Reads) -> None:
    reads.go.set()
    short, whole = await asyncio.gather(read(store, size=1), read(store))
    assert (short.next.position, whole.next.position) == (10_000, 100_000)
    assert reads.begun == 2


async def test_nobody_gets_a_page_from_before_what_was_acknowledged(store: SqliteStore, reads: Reads) -> None:
    before = read(store)
    await aeventually(lambda: reads.begun == 1)
    await store.append("s", Append(chunk=b"y", content_type=TEXT))
    after = read(store)
    await aeventually(lambda: reads.begun == 2)
    reads.go.set()
    assert (await after).next.position == 100_001
    await before


async def test_what_befalls_a_shared_read_befalls_all(store: SqliteStore, reads: Reads) -> None:
    crowd = [read(store) for _ in range(5)]
    await aeventually(lambda: reads.begun == 1)
    await store.delete("s")
    reads.go.set()
    for each in crowd:
        with pytest.raises(StreamNotFound):
            await each

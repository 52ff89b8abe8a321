"""What a transaction gathers, and that forgetting what was written changes nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from webapp.streams.protocol.commands import Append, Create, ForkPoint
from webapp.streams.protocol.errors import StreamClosed, StreamConflict, StreamGone, StreamNotFound
from webapp.streams.protocol.offsets import START
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.store import sqlite_transaction
from webapp.streams.store.base import PageLimit
from webapp.streams.store.sqlite import SqliteStore
from webapp.streams.store.sqlite_transaction import Lately

LIMIT = PageLimit(size=1 << 24, units=1 << 24)
JSON = "application/json"


@pytest.fixture(params=[1, 2048], ids=["forgets at once", "remembers"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SqliteStore]:
    monkeypatch.setattr(sqlite_transaction, "MAX_RECORDS", request.param)
    monkeypatch.setattr(sqlite_transaction, "MAX_PRODUCERS", request.param)
    store = SqliteStore.open(tmp_path)
    yield store
    await store.aclose()


async def chunks(store: SqliteStore, path: str) -> list[bytes]:
    return list((await store.read(path, START, limit=LIMIT)).chunks)


async def test_appends_of_one_commit_keep_their_order_on_every_stream(
    store: SqliteStore, rng: random.Random
) -> None:
    for path in "abc":
        await store.create(path, Create(content_type=JSON))
    said: dict[str, list[bytes]] = {path: [] for path in "abc"}
    for size in (1, 2, 3, 31, 257, 700):
        calls = []
        for number in range(size):
            path = rng.choice("abc")
            said[path].append(b"%d.%d" % (size, number))
            calls.append(store.append(path, Append(chunk=said[path][-1], content_type=JSON)))
        found = await asyncio.gather(*calls)
        assert {path: await chunks(store, path) for path in "abc"} == said
        assert max(outcome.record.position for outcome in found) <= max(map(len, said.values()))


async def test_producers_are_known_whether_remembered_or_not(store: SqliteStore) -> None:
    await store.create("s", Create(content_type=JSON))

    def append(name: str, seq: int, *, epoch: int = 0) -> Append:
        chunk = b'"%b %d"' % (name.encode(), seq)
        return Append(chunk=chunk, content_type=JSON, producer=ProducerTuple(name, epoch, seq))

    wanted = [append(name, seq) for seq in range(3) for name in ("p", "q", "r")]
    first = await asyncio.gather(*(store.append("s", each) for each in wanted))
    again = await asyncio.gather(*(store.append("s", each) for each in wanted))
    assert [outcome.duplicate for outcome in (*first, *again)] == [False] * 9 + [True] * 9
    assert {outcome.producer for outcome in again} == {ProducerTuple(name, 0, 2) for name in "pqr"}
    assert await chunks(store, "s") == [each.chunk for each in wanted]


async def test_what_changes_beside_the_tail_is_there_after_reopening(
    store: SqliteStore, tmp_path: Path
) -> None:
    await store.create("s", Create(content_type=JSON))
    await store.create("t", Create(content_type=JSON))
    closer = ProducerTuple("p", 0, 0)
    await asyncio.gather(
        store.append("s", Append(chunk=b"1", content_type=JSON, writer_seq="b")),
        store.append("t", Append(chunk=b"2", content_type=JSON, producer=closer, close=True)),
        store.append("s", Append(chunk=b"3", content_type=JSON)),
    )
    await store.aclose()
    reopened = SqliteStore.open(tmp_path)
    try:
        assert (await reopened.head("s")).position == 2
        with pytest.raises(StreamConflict):
            await reopened.append("s", Append(chunk=b"4", content_type=JSON, writer_seq="a"))
        with pytest.raises(StreamClosed):
            await reopened.append("t", Append(chunk=b"5", content_type=JSON))
        repeated = Append(chunk=b"2", content_type=JSON, producer=closer, close=True)
        assert (await reopened.append("t", repeated)).duplicate
        assert (await reopened.append("s", Append(chunk=b"6", content_type=JSON))).record.position == 3
    finally:
        await reopened.aclose()


async def test_a_deleted_stream_goes_for_good_with_its_last_fork(store: SqliteStore) -> None:
    more = Append(chunk=b"2", content_type=JSON)
    await store.create("source", Create(content_type=JSON, chunk=b"1"))
    await store.append("source", more)
    await store.create("fork", Create(fork=ForkPoint("source")))
    await store.delete("source")
    with pytest.raises(StreamGone):
        await store.append("source", more)
    assert (await store.append("fork", more)).record.position == 3
    assert await chunks(store, "fork") == [b"1", b"2", b"2"]
    await store.delete("fork")
    with pytest.raises(StreamNotFound):
        await store.append("source", more)
    created = await store.create("source", Create(content_type=JSON))
    assert created.new
    assert (await store.append("source", more)).record.position == 1


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    known: Lately[str, int] = Lately(2)
    known.put("a", 1)
    known.put("b", 2)
    assert known.get("a") == 1
    known.put("c", 3)
    assert [known.get(key) for key in "abc"] == [1, None, 3]
    known.put("a", 4)
    known.drop("c")
    assert [known.get(key) for key in "ac"] == [4, None]

"""What a fork has from its source and what it has not, over every store."""

from __future__ import annotations

import pytest

from tests.conformance.conftest import Clock
from tests.support.stores import JSON, LIMIT, TEXT, by, messages, numbers
from webapp.streams.protocol import json_mode
from webapp.streams.protocol.commands import Create, ForkPoint
from webapp.streams.protocol.errors import (
    InvalidRequest,
    StreamConflict,
    StreamGone,
    StreamNotFound,
)
from webapp.streams.protocol.lifetimes import Lifetime
from webapp.streams.protocol.offsets import START, Offset, Tail
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.store.base import Page, StreamStore


async def test_a_fork_reads_its_source_and_then_itself(store: StreamStore) -> None:
    await store.create("a", Create(content_type=JSON))
    marks = [(await store.append("a", messages(n))).record.tail for n in range(5)]
    forked = await store.create("b", Create(fork=ForkPoint("a", marks[2])))
    assert forked.record.tail == marks[2]
    await store.append("a", messages(99))
    await store.append("b", messages(10))
    assert await numbers(store, "b") == [0, 1, 2, 10]
    assert await numbers(store, "a") == [0, 1, 2, 3, 4, 99]
    page: Page = await store.read("b", marks[1], limit=LIMIT)
    assert [int(m) for m in json_mode.unpack(page.chunks)] == [2, 10]
    with pytest.raises(StreamGone):
        await store.read("b", marks[4], limit=LIMIT)


async def test_a_fork_may_cut_an_append(store: StreamStore) -> None:
    await store.create("a", Create(content_type=JSON))
    await store.append("a", messages(0, 1, 2, 3))
    await store.create("b", Create(fork=ForkPoint("a", START, 3)))
    await store.create("c", Create(fork=ForkPoint("b", START, 2), chunk=b"7", content_type=JSON))
    await store.append("b", messages(9))
    assert await numbers(store, "b") == [0, 1, 2, 9]
    assert await numbers(store, "c") == [0, 1, 7]
    await store.append("a", messages(4, 5))
    for anchor, too_far in ((START, 5), (Tail.NOW, 1)):  # not into the next append, not beyond the tail
        offset = anchor if isinstance(anchor, Offset) else None
        with pytest.raises(InvalidRequest):
            await store.create("d", Create(fork=ForkPoint("a", offset, too_far)))


async def test_a_fork_takes_no_producer_state_along(store: StreamStore) -> None:
    await store.create("a", Create(content_type=JSON))
    await store.append("a", by(ProducerTuple("p", 5, 0), 1))
    await store.create("b", Create(fork=ForkPoint("a")))
    assert not (await store.append("b", by(ProducerTuple("p", 0, 0), 2))).duplicate


async def test_forking_again_finds_the_fork(store: StreamStore) -> None:
    await store.create("a", Create(content_type=JSON, chunk=b"1\n2"))
    assert (await store.create("b", Create(fork=ForkPoint("a", START, 1)))).new
    assert not (await store.create("b", Create(fork=ForkPoint("a", START, 1)))).new
    for other in (ForkPoint("a", START, 2), ForkPoint("x", START, 1), None):
        with pytest.raises(StreamConflict):
            await store.create("b", Create(content_type=JSON, fork=other))


async def test_a_fork_of_nothing_or_of_another_type(store: StreamStore) -> None:
    with pytest.raises(StreamNotFound):
        await store.create("b", Create(fork=ForkPoint("a")))
    await store.create("a", Create(content_type=JSON))
    with pytest.raises(StreamConflict):
        await store.create("b", Create(content_type=TEXT, fork=ForkPoint("a")))
    await store.delete("a")  # the refused fork holds no reference
    with pytest.raises(StreamNotFound):
        await store.head("a")


async def test_a_deleted_source_lives_on_in_its_forks_and_goes_with_the_last(store: StreamStore) -> None:
    await store.create("a", Create(content_type=JSON, chunk=b"1"))
    await store.create("b", Create(fork=ForkPoint("a")))
    await store.append("b", messages(2))
    await store.create("c", Create(fork=ForkPoint("b")))
    await store.delete("a")
    await store.delete("b")
    assert await numbers(store, "c") == [1, 2]
    for path in ("a", "b"):
        for attempt in (
            store.read(path, START, limit=LIMIT),
            store.head(path),
            store.delete(path),
            store.append(path, messages(1)),
        ):
            with pytest.raises(StreamGone):
                await attempt
        for create in (Create(content_type=JSON), Create(fork=ForkPoint("c"))):
            with pytest.raises(StreamConflict):
                await store.create(path, create)
    with pytest.raises(StreamConflict):
        await store.create("d", Create(fork=ForkPoint("a")))
    await store.delete("c")
    for path in ("a", "b", "c"):
        with pytest.raises(StreamNotFound):
            await store.head(path)
        assert (await store.create(path, Create(content_type=JSON))).new


async def test_a_fork_inherits_a_lifetime_unless_it_brings_its_own(store: StreamStore, clock: Clock) -> None:
    await store.create("a", Create(content_type=JSON, lifetime=Lifetime(ttl=10), chunk=b"1"))
    await store.create("b", Create(fork=ForkPoint("a")))
    await store.create("c", Create(fork=ForkPoint("a"), lifetime=Lifetime(ttl=100)))
    assert (await store.head("b")).lifetime == Lifetime(ttl=10)
    clock.advance(11)
    for path in ("a", "b"):
        with pytest.raises((StreamNotFound, StreamGone)):
            await store.head(path)
    assert await numbers(store, "c") == [1]

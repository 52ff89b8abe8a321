"""The idempotent producer over every stream client: what it may rely on, and what others may rely on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from random import Random
from typing import Any

import pytest

from tests.support.appends import Appends, Shuffled, stored
from tests.support.waiting import aeventually
from webapp.streams.clients.base import (
    AppendReceipt,
    PayloadTooLarge,
    ProducerTuple,
    StaleEpoch,
    StreamClient,
    StreamClosed,
    StreamNotFound,
)
from webapp.streams.clients.producer import IdempotentProducer, ProducerLimits

Produce = Callable[..., IdempotentProducer]
ONE_EACH = ProducerLimits(linger=0.0, max_batch_messages=1)
"""Every message is an append."""
LONG = b'"%b"' % (b"x" * 1000)
"""More than the server takes at once."""


@pytest.fixture
async def produce(client: StreamClient) -> AsyncIterator[Produce]:
    """Make a producer ``p`` of ``s``; it is closed with the test."""
    made: list[IdempotentProducer] = []

    def produce(over: StreamClient = client, **options: Any) -> IdempotentProducer:
        made.append(IdempotentProducer(over, "s", producer_id="p", **{"limits": ONE_EACH, **options}))
        return made[-1]

    await client.ensure("s")
    yield produce
    for each in made:
        await each.aclose()


def numbers(*among: int) -> list[bytes]:
    return [b"%d" % n for n in range(*among)]


async def test_what_is_put_is_stored_in_order(client: StreamClient, produce: Produce) -> None:
    producer = produce()
    for message in numbers(50):
        await producer.put([message])
    await producer.flush()
    assert await stored(client) == numbers(50)
    receipt = await producer.append([b"50"])
    assert (await client.read("s", offset=receipt.offset)).up_to_date


async def test_what_is_put_gathers_in_few_appends(client: StreamClient, produce: Produce) -> None:
    counting = Appends(client)
    producer = produce(counting, limits=ProducerLimits(linger=60, max_batch_messages=20))
    for message in numbers(50):
        await producer.put([message])
    await producer.flush()
    # One may have been sent again, but each time with the same messages.
    assert {producer.seq: len(messages) for producer, messages in counting.sent} == {0: 20, 1: 20, 2: 10}
    assert await stored(client) == numbers(50)


async def test_appends_in_any_order_are_stored_in_theirs(
    client: StreamClient, produce: Produce, rng: Random
) -> None:
    """F12: five in flight, shuffled."""
    shuffled = Shuffled(client, rng=rng, size=5)
    producer = produce(shuffled)
    for message in numbers(60):
        await producer.put([message])
    await producer.flush()
    assert shuffled.gaps
    assert shuffled.most_under_way == 5
    assert await stored(client) == numbers(60)


async def test_the_second_arrives_before_the_first(client: StreamClient, produce: Produce) -> None:
    """F12: 1 before 0."""

    class FirstIsLast(Appends):
        async def interfere(
            self, path: str, messages: Sequence[bytes], producer: ProducerTuple, close: bool
        ) -> AppendReceipt:
            if producer.seq == 0:
                await aeventually(lambda: self.gaps, interval=0.001)
            return await super().interfere(path, messages, producer, close)

    late = FirstIsLast(client)
    producer = produce(late)
    await producer.put(numbers(10))
    await producer.flush()
    assert late.gaps[1]
    assert await stored(client) == numbers(10)


async def test_what_is_too_large_leaves_no_hole(client: StreamClient, produce: Produce) -> None:
    producer = produce()
    await producer.put([b"0"])
    appends = [producer.append([message]) for message in (b"1", LONG, b"2")]
    told = await asyncio.gather(*appends, return_exceptions=True)
    assert [type(each) for each in told] == [AppendReceipt, PayloadTooLarge, PayloadTooLarge]
    await producer.append([b"3"])
    assert await stored(client) == [b"0", b"1", b"3"]


async def test_a_stream_that_ends_under_its_producer(client: StreamClient, produce: Produce) -> None:
    producer = produce()
    await producer.append([b"0"])
    await client.append("s", [], close=True)
    await producer.put([b"1"])
    with pytest.raises(StreamClosed):
        await producer.flush()
    await client.delete("s")
    with pytest.raises(StreamNotFound):
        await producer.append([b"2"])


async def test_closing_with_the_last_append(client: StreamClient, produce: Produce) -> None:
    producer = produce()
    await producer.put([b"0"])
    await producer.append([b"1"], close=True)
    with pytest.raises(StreamClosed):
        await producer.append([b"2"])
    assert await stored(client) == [b"0", b"1"]


async def test_a_claim_fences_what_is_still_on_its_way(client: StreamClient, produce: Produce) -> None:
    old = produce()
    await old.append([b'"old"'])
    async with aclosing(old):
        await old.put(numbers(100))
        new = produce()
        await new.claim([b'"claimed"'])
        await new.put([b'"new"'] * 10)
        await new.flush()
        with pytest.raises(StaleEpoch) as stale:
            await old.flush()
        assert stale.value.current_epoch == new.epoch == 1
    found = await stored(client)
    before = found.index(b'"claimed"')
    assert found[:before] == [b'"old"', *numbers(before - 1)]
    assert found[before + 1 :] == [b'"new"'] * 10

"""The idempotent producer against a client that fails on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from webapp.streams.clients.base import (
    AppendReceipt,
    InvalidRequest,
    ProducerTuple,
    StaleEpoch,
    StreamsUnavailable,
)
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.clients.producer import IdempotentProducer
from webapp.streams.clients.retry import Retry
from webapp.streams.engine import Engine
from webapp.streams.store.memory import MemoryStore


class Flaky(LocalStreamClient):
    """Loses appends on the way there, or their receipts on the way back."""

    def __init__(self) -> None:
        super().__init__(Engine(MemoryStore()))
        self.lost_before = 0
        self.lost_after = 0
        self.tuples: list[ProducerTuple | None] = []

    async def append(
        self,
        path: str,
        messages: Sequence[bytes],
        *,
        producer: ProducerTuple | None = None,
        close: bool = False,
    ) -> AppendReceipt:
        self.tuples.append(producer)
        await asyncio.sleep(0)
        if self.lost_before:
            self.lost_before -= 1
            raise StreamsUnavailable("lost", retry_after=0.5)
        receipt = await super().append(path, messages, producer=producer, close=close)
        if self.lost_after:
            self.lost_after -= 1
            raise StreamsUnavailable("lost", retry_after=0.5)
        return receipt

    async def log(self) -> list[bytes]:
        return list((await self.read("s")).messages)


@pytest.fixture
async def client() -> Flaky:
    client = Flaky()
    await client.ensure("s")
    return client


def produce(client: Flaky, **options: Any) -> tuple[IdempotentProducer, list[float]]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    options = {"producer_id": "p", "retry": Retry(attempts=3), **options}
    return IdempotentProducer(client, "s", rng=Random(1), sleep=sleep, **options), waits


async def test_sequence_numbers_count_up(client: Flaky) -> None:
    producer, _ = produce(client, epoch=4)
    for n in range(3):
        await producer.append([b"%d" % n])
    assert client.tuples == [ProducerTuple("p", 4, n) for n in range(3)]
    assert await client.log() == [b"0", b"1", b"2"]


@pytest.mark.parametrize("lost", ["lost_before", "lost_after"])
async def test_what_may_be_lost_is_sent_again_with_the_same_tuple(client: Flaky, lost: str) -> None:
    producer, waits = produce(client)
    setattr(client, lost, 2)
    await producer.append([b"1"])
    await producer.append([b"2"])
    assert await client.log() == [b"1", b"2"]
    assert client.tuples[:3] == [ProducerTuple("p", 0, 0)] * 3
    assert len(waits) == 2
    assert min(waits) >= 0.5  # what the server asked for is a floor


@pytest.mark.parametrize("lost", ["lost_before", "lost_after"])
async def test_an_append_given_up_goes_out_before_the_next_one(client: Flaky, lost: str) -> None:
    producer, _ = produce(client)
    setattr(client, lost, 3)
    with pytest.raises(StreamsUnavailable):
        await producer.append([b"1"])
    await producer.append([b"2"])
    assert await client.log() == [b"1", b"2"]


async def test_a_cancelled_append_goes_out_before_the_next_one(client: Flaky) -> None:
    producer, _ = produce(client)
    task = asyncio.create_task(producer.append([b"1"]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await producer.append([b"2"])
    assert await client.log() == [b"1", b"2"]


async def test_a_refused_append_uses_up_nothing(client: Flaky) -> None:
    producer, _ = produce(client)
    with pytest.raises(InvalidRequest):
        await producer.append([])
    await producer.append([b"1"])
    assert client.tuples[-1] == ProducerTuple("p", 0, 0)


async def test_appends_at_once_keep_their_order(client: Flaky) -> None:
    producer, _ = produce(client)
    await asyncio.gather(*(producer.append([b"%d" % n]) for n in range(20)))
    assert await client.log() == [b"%d" % n for n in range(20)]


async def test_claiming_fences_the_writer_before(client: Flaky) -> None:
    old, _ = produce(client, epoch=6)
    await old.append([b'"old"'])
    new, _ = produce(client)
    await new.claim([b'"claimed"'])
    assert new.epoch == 7
    with pytest.raises(StaleEpoch):
        await old.append([b'"late"'])
    await new.append([b'"new"'])
    assert await client.log() == [b'"old"', b'"claimed"', b'"new"']

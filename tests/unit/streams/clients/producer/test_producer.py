"""The idempotent producer against a client that fails on purpose: one call at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Any

import pytest

from tests.support.appends import Appends, stored
from webapp.streams.clients.base import (
    AppendReceipt,
    InvalidRequest,
    ProducerTuple,
    StaleEpoch,
    StreamClosed,
    StreamsUnavailable,
)
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.clients.producer import IdempotentProducer, ProducerClosed
from webapp.streams.clients.retry import Retry
from webapp.streams.engine import Engine
from webapp.streams.store.memory import MemoryStore

Produce = Callable[..., tuple[IdempotentProducer, list[float]]]


class Flaky(Appends):
    """Loses appends on the way there, or their receipts on the way back."""

    def __init__(self) -> None:
        super().__init__(LocalStreamClient(Engine(MemoryStore())))
        self.lost_before = 0
        self.lost_after = 0

    async def interfere(
        self, path: str, messages: Sequence[bytes], producer: ProducerTuple, close: bool
    ) -> AppendReceipt:
        await asyncio.sleep(0)
        if self.lost_before:
            self.lost_before -= 1
            raise StreamsUnavailable("lost", retry_after=0.5)
        receipt = await super().interfere(path, messages, producer, close)
        if self.lost_after:
            self.lost_after -= 1
            raise StreamsUnavailable("lost", retry_after=0.5)
        return receipt


@pytest.fixture
async def client() -> Flaky:
    client = Flaky()
    await client.ensure("s")
    return client


@pytest.fixture
async def produce(client: Flaky) -> AsyncIterator[Produce]:
    """Make a producer of ``s``, and a list of how long it waited; it is closed with the test."""
    made: list[IdempotentProducer] = []

    def produce(**options: Any) -> tuple[IdempotentProducer, list[float]]:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            await asyncio.sleep(0)

        options = {"producer_id": "p", "retry": Retry(attempts=3), **options}
        made.append(IdempotentProducer(client, "s", rng=Random(1), sleep=sleep, **options))
        return made[-1], waits

    yield produce
    for each in made:
        await each.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_sequence_numbers_count_up(client: Flaky, produce: Produce) -> None:
    producer, _ = produce(epoch=4)
    for n in range(3):
        await producer.append([b"%d" % n])
    assert [each for each, _ in client.sent] == [ProducerTuple("p", 4, n) for n in range(3)]
    assert await stored(client) == [b"0", b"1", b"2"]


@pytest.mark.parametrize("lost", ["lost_before", "lost_after"])
async def test_what_may_be_lost_is_sent_again_with_the_same_tuple(
    client: Flaky, produce: Produce, lost: str
) -> None:
    producer, waits = produce()
    setattr(client, lost, 2)
    await producer.append([b"1"])
    await producer.append([b"2"])
    assert await stored(client) == [b"1", b"2"]
    assert client.sent[:3] == [(ProducerTuple("p", 0, 0), (b"1",))] * 3
    assert len(waits) == 2
    assert min(waits) >= 0.5  # what the server asked for is a floor


@pytest.mark.parametrize("lost", ["lost_before", "lost_after"])
async def test_an_append_given_up_goes_out_before_the_next_one(
    client: Flaky, produce: Produce, lost: str
) -> None:
    producer, _ = produce()
    setattr(client, lost, 3)
    with pytest.raises(StreamsUnavailable):
        await producer.append([b"1"])
    assert asyncio.all_tasks() == {asyncio.current_task()}  # nobody goes on by himself
    await producer.append([b"2"])
    assert await stored(client) == [b"1", b"2"]


async def test_what_nobody_waits_for_is_kept_too_when_all_tries_have_failed(
    client: Flaky, produce: Produce
) -> None:
    failed = asyncio.Event()
    producer, _ = produce(on_failure=failed.set)
    client.lost_before = 3
    await producer.put([b"1"])
    await asyncio.wait_for(failed.wait(), 10)
    await producer.put([b"2"])
    await producer.flush()
    assert await stored(client) == [b"1", b"2"]


async def test_a_cancelled_append_goes_out_before_the_next_one(client: Flaky, produce: Produce) -> None:
    producer, _ = produce()
    task = asyncio.create_task(producer.append([b"1"]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await producer.append([b"2"])
    assert await stored(client) == [b"1", b"2"]


async def test_a_refused_append_uses_up_nothing(client: Flaky, produce: Produce) -> None:
    producer, _ = produce()
    for nothing in ([], [b""]):
        with pytest.raises(InvalidRequest):
            await producer.append(nothing)
    await producer.append([b"1"])
    assert client.sent[-1] == (ProducerTuple("p", 0, 0), (b"1",))


async def test_appends_at_once_keep_their_order(client: Flaky, produce: Produce) -> None:
    producer, _ = produce()
    await asyncio.gather(*(producer.append([b"%d" % n]) for n in range(20)))
    assert await stored(client) == [b"%d" % n for n in range(20)]


async def test_the_last_append_may_close_the_stream(client: Flaky, produce: Produce) -> None:
    producer, _ = produce()
    await producer.put([b"1"])
    client.lost_after = 1
    assert (await producer.append([b"2"], close=True)).duplicate
    with pytest.raises(StreamClosed):
        await producer.append([b"3"])
    assert await stored(client) == [b"1", b"2"]


async def test_a_client_that_breaks_its_promise(client: Flaky, produce: Produce) -> None:
    """Nobody knows what became of the append, so its number is not used again."""

    async def broken(*args: object) -> AppendReceipt:
        raise ZeroDivisionError

    producer, _ = produce()
    client.interfere = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        await producer.append([b"1"])
    del client.interfere  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await producer.append([b"2"])
    await producer.claim([b"3"])
    assert await stored(client) == [b"3"]


async def test_a_client_that_gives_up_by_itself(client: Flaky, produce: Produce) -> None:
    async def cancelled(*args: object) -> AppendReceipt:
        raise asyncio.CancelledError

    producer, _ = produce()
    client.interfere = cancelled  # type: ignore[method-assign]
    with pytest.raises(StreamsUnavailable):
        await producer.append([b"1"])
    del client.interfere  # type: ignore[method-assign]
    await producer.append([b"2"])
    assert await stored(client) == [b"1", b"2"]


async def test_nothing_is_sent_after_the_end(client: Flaky, produce: Produce) -> None:
    producer, _ = produce()
    await producer.put([b"1"])
    await producer.flush()
    await producer.put([b"2"])
    await producer.aclose()
    for call in (producer.append([b"3"]), producer.put([b"3"]), producer.flush(), producer.claim([b"3"])):
        with pytest.raises(ProducerClosed):
            await call
    assert await stored(client) == [b"1"]
    await producer.aclose()


async def test_claiming_fences_the_writer_before(client: Flaky, produce: Produce) -> None:
    old, _ = produce(epoch=6)
    await old.append([b'"old"'])
    new, _ = produce()
    await new.claim([b'"claimed"'])
    assert new.epoch == 7
    with pytest.raises(StaleEpoch):
        await old.append([b'"late"'])
    await new.append([b'"new"'])
    assert await stored(client) == [b'"old"', b'"claimed"', b'"new"']


@pytest.mark.parametrize("epoch", [None, 0, 1, 2])
@pytest.mark.parametrize("lost", ["", "lost_before", "lost_after"])
async def test_a_claim_is_above_every_epoch_and_is_stored_once(
    client: Flaky, produce: Produce, epoch: int | None, lost: str
) -> None:
    if epoch is not None:
        old, _ = produce(epoch=epoch)
        await old.append([b'"old"'])
        await old.append([b'"old"'])
    new, _ = produce()
    if lost:
        setattr(client, lost, 1)
    await new.claim([b'"claimed"'])
    assert new.epoch == max(1, (epoch or 0) + 1)
    if epoch is not None:
        with pytest.raises(StaleEpoch):
            await old.append([b'"late"'])
    await new.append([b'"new"'])
    assert (await stored(client))[-2:] == [b'"claimed"', b'"new"']
    assert (await stored(client)).count(b'"claimed"') == 1


async def test_a_claim_whose_receipt_is_lost_is_stored_once(client: Flaky, produce: Produce) -> None:
    producer, _ = produce()
    claiming = asyncio.create_task(producer.claim([b"1"]))
    while len(client.sent) < 2:  # noqa: ASYNC110  (the first one only asks)
        await asyncio.sleep(0)
    client.lost_after = 1
    assert (await claiming).duplicate
    await producer.append([b"2"])
    assert await stored(client) == [b"1", b"2"]


async def test_a_claim_that_never_gets_through_changes_nothing(client: Flaky, produce: Produce) -> None:
    producer, _ = produce()
    await producer.append([b"1"])
    client.lost_before = 3
    with pytest.raises(StreamsUnavailable):
        await producer.claim([b"2"])
    with pytest.raises(InvalidRequest):
        await producer.claim([])
    await producer.append([b"3"])
    assert producer.epoch == 0
    assert await stored(client) == [b"1", b"3"]


async def test_all_who_claim_at_once_get_epochs_of_their_own(client: Flaky, produce: Produce) -> None:
    claimants = [produce()[0] for _ in range(5)]
    await asyncio.gather(*(each.claim([b"%d" % n]) for n, each in enumerate(claimants)))
    assert len({each.epoch for each in claimants}) == 5
    assert sorted(await stored(client)) == [b"0", b"1", b"2", b"3", b"4"]
    last = max(claimants, key=lambda each: each.epoch)
    for each in claimants:
        if each is not last:
            with pytest.raises(StaleEpoch):
                await each.append([b"5"])
    await last.append([b"6"])

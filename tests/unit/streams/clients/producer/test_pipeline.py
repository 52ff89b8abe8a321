"""Several appends under way at once, each of them decided by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.appends import Held, stored
from tests.support.waiting import aeventually
from webapp.streams.clients.base import (
    InvalidRequest,
    PayloadTooLarge,
    ProducerTuple,
    SequenceGap,
    StaleEpoch,
    StreamsUnavailable,
)
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.clients.producer import IdempotentProducer, ProducerClosed, ProducerLimits
from webapp.streams.clients.retry import Retry
from webapp.streams.engine import Engine
from webapp.streams.limits import StreamLimits
from webapp.streams.protocol.producers import MAX_INTEGER
from webapp.streams.store.memory import MemoryStore

Produce = Callable[..., IdempotentProducer]
LONG = b'"%b"' % (b"x" * 200)
"""More than the server takes at once."""


@pytest.fixture
async def held() -> Held:
    held = Held(LocalStreamClient(Engine(MemoryStore(), limits=StreamLimits(max_append_bytes=200))))
    await held.ensure("s")
    return held


@pytest.fixture
async def produce(held: Held) -> AsyncIterator[Produce]:
    """Make a producer of ``s`` whose every message is an append; it is closed with the test."""
    made: list[IdempotentProducer] = []

    def produce(
        *, attempts: int = 100, epoch: int = 0, on_failure: Callable[[], None] = lambda: None, **limits: Any
    ) -> IdempotentProducer:
        producer = IdempotentProducer(
            held,
            "s",
            producer_id="p",
            epoch=epoch,
            limits=ProducerLimits(**{"linger": 0.0, "spacing": 0.0, "max_batch_messages": 1, **limits}),
            retry=Retry(attempts=attempts, base=0.0),
            on_failure=on_failure,
        )
        made.append(producer)
        return producer

    yield produce
    for each in made:
        await each.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def holds(held: Held, *numbers: int) -> None:
    await aeventually(lambda: held.held == list(numbers), interval=0, what=f"{numbers}, not {held.held}")


async def settled() -> None:
    """Everything that can happen without the test has happened."""
    for _ in range(20):
        await asyncio.sleep(0)


async def finish(held: Held, work: Any) -> Any:
    """Let everything through until ``work`` is done."""
    task = asyncio.ensure_future(work)
    while not task.done():
        for seq in held.held:
            held.decide(seq)
        await asyncio.sleep(0)
    return await task


async def put(producer: IdempotentProducer, *numbers: int) -> None:
    await producer.put([b"%d" % n for n in numbers])


async def test_five_are_under_way_at_once_and_no_more(held: Held, produce: Produce) -> None:
    producer = produce()
    await put(producer, *range(7))
    await holds(held, 0, 1, 2, 3, 4)
    await settled()
    held.decide(0)
    await holds(held, 1, 2, 3, 4, 5)
    await settled()
    await finish(held, producer.flush())
    assert held.most_under_way == 5
    assert await stored(held) == [b"%d" % n for n in range(7)]


async def test_messages_wait_for_company_until_somebody_waits_for_them(held: Held, produce: Produce) -> None:
    producer = produce(linger=3600, max_batch_messages=100)
    await put(producer, 1, 2)
    await put(producer, 3)
    await settled()
    assert held.held == []
    appending = asyncio.create_task(producer.append([b"4"]))
    await holds(held, 0)
    assert [messages for _, messages in held.sent] == [(b"1", b"2", b"3", b"4")]
    held.decide(0)
    await appending
    await put(producer, 5)
    await finish(held, producer.flush())
    assert await stored(held) == [b"1", b"2", b"3", b"4", b"5"]


async def test_messages_wait_for_company_only_so_long(held: Held, produce: Produce) -> None:
    producer = produce(linger=0.001, max_batch_messages=100)
    for batch in range(2):
        await put(producer, 1, 2)
        await holds(held, *range(batch + 1))
    assert [messages for _, messages in held.sent] == [(b"1", b"2")] * 2


async def test_what_comes_while_all_are_under_way_gathers(held: Held, produce: Produce) -> None:
    producer = produce(max_in_flight=2, max_batch_messages=100)
    for n in range(2):
        await put(producer, n)
        await holds(held, *range(n + 1))
    await put(producer, 2)
    await settled()
    await put(producer, 3)
    await settled()
    held.decide(0)
    await holds(held, 1, 2)
    assert held.sent[-1][1] == (b"2", b"3")


async def test_putting_waits_while_too_much_is_unsent(held: Held, produce: Produce) -> None:
    producer = produce(max_in_flight=1, max_unsent_bytes=2)
    await put(producer, 0)
    await put(producer, 1, 2, 3)
    waiting = [asyncio.create_task(put(producer, n)) for n in (4, 5, 6)]
    await settled()
    assert not any(each.done() for each in waiting)
    waiting[1].cancel()  # it has not been taken yet, and never will be
    held.decide(0)
    await holds(held, 1)
    await waiting[0]
    await settled()
    assert not waiting[2].done()
    await finish(held, asyncio.gather(*waiting, return_exceptions=True))
    await finish(held, producer.flush())
    assert await stored(held) == [b"0", b"1", b"2", b"3", b"4", b"6"]


async def test_room_is_where_the_next_can_be_sent_at_once(held: Held, produce: Produce) -> None:
    producer = produce(max_in_flight=2)
    await producer.room()
    await put(producer, 0, 1)
    waiting = asyncio.create_task(producer.room())
    await settled()
    assert not waiting.done()
    held.decide(1)
    await settled()  # it overtook the one before: what comes now would do so too
    assert not waiting.done()
    held.decide(0)
    await waiting
    assert held.held == [1]


async def test_who_overtakes_waits_for_the_one_before_and_is_sent_again(held: Held, produce: Produce) -> None:
    producer = produce()
    await put(producer, *range(7))
    await holds(held, 0, 1, 2, 3, 4)
    for seq in (4, 2, 1):
        held.decide(seq)
    await holds(held, 0, 3)
    await settled()
    held.decide(0)
    await holds(held, 3, 1, 2)
    await settled()  # while 3 is on its way, 4 and all that is new would only overtake it
    for seq in (1, 2, 3):
        held.decide(seq)
    await holds(held, 4, 5, 6)
    await finish(held, producer.flush())
    assert dict(held.gaps) == {1: 1, 2: 1, 4: 1}
    assert await stored(held) == [b"%d" % n for n in range(7)]
    assert len(set(held.sent)) == 7  # the same number, the same messages


async def test_the_answer_to_a_later_one_tells_of_all_before(held: Held, produce: Produce) -> None:
    producer = produce()
    appending = [asyncio.create_task(producer.append([b"%d" % n])) for n in range(3)]
    await holds(held, 0, 1, 2)
    held.decide(0, "mute")
    held.decide(1)
    await appending[1]
    # Either its second try was answered or the first one after it.
    assert (await finish(held, appending[0])).duplicate
    assert not (await finish(held, appending[2])).duplicate
    assert await stored(held) == [b"0", b"1", b"2"]


async def test_a_refusal_takes_along_what_is_behind_and_then_it_goes_on(held: Held, produce: Produce) -> None:
    producer = produce()
    before, refused, behind = (
        asyncio.create_task(producer.append([message])) for message in (b"0", LONG, b"2")
    )
    await holds(held, 0, 1, 2)
    held.decide(1)
    for each in (refused, behind):
        with pytest.raises(PayloadTooLarge):
            await each
    after = asyncio.create_task(producer.append([b"3"]))
    await settled()
    assert held.held == [0, 2]  # it waits: number 1 is not used again while number 2 is on its way
    held.decide(0)
    held.decide(2)
    await finish(held, asyncio.gather(before, after))
    assert held.gaps[2] == 1
    assert await stored(held) == [b"0", b"3"]
    assert held.numbers == [0, 1, 2, 1]


async def test_what_nobody_waited_for_is_told_to_the_next_and_only_once(held: Held, produce: Produce) -> None:
    failures: list[None] = []
    producer = produce(on_failure=lambda: failures.append(None))
    await put(producer, 0)
    await producer.put([LONG])
    await put(producer, 2)
    await holds(held, 0, 1, 2)
    for seq in (2, 1, 0):
        held.decide(seq)
    await aeventually(lambda: failures)
    with pytest.raises(PayloadTooLarge):
        await put(producer, 3)
    await finish(held, producer.flush())
    await put(producer, 4)
    await finish(held, producer.flush())
    assert await stored(held) == [b"0", b"4"]
    assert len(failures) == 1


async def test_a_number_is_not_used_again_if_an_old_try_may_still_arrive(
    held: Held, produce: Produce
) -> None:
    producer = produce()
    refused = asyncio.create_task(producer.append([LONG]))
    await holds(held, 0)
    await put(producer, 1)
    await holds(held, 0, 1)
    held.decide(1, "lose")  # as far as anybody knows, it is on its way for ever
    await holds(held, 0, 1)
    held.decide(0)
    with pytest.raises(PayloadTooLarge):
        await refused
    held.decide(1)
    for _ in range(2):
        with pytest.raises(PayloadTooLarge):
            await put(producer, 2)
    with pytest.raises(PayloadTooLarge):
        await producer.flush()
    await finish(held, producer.claim([b"3"]))
    await put(producer, 4)
    await finish(held, producer.flush())
    assert await stored(held) == [b"3", b"4"]
    assert [(each.epoch, each.seq) for each, _ in held.sent[-2:]] == [(1, 0), (1, 1)]


async def test_a_server_that_has_forgotten_what_it_acknowledged(held: Held, produce: Produce) -> None:
    producer = produce()
    await finish(held, producer.append([b"0"]))
    await held.delete("s")
    await held.ensure("s")
    with pytest.raises(SequenceGap):
        await finish(held, producer.append([b"1"]))
    await finish(held, producer.claim([b"2"]))
    assert await stored(held) == [b"2"]


async def test_when_all_tries_have_failed_everything_stays_where_it_was(held: Held, produce: Produce) -> None:
    producer = produce(attempts=2, max_in_flight=3, max_unsent_bytes=0)
    await put(producer, 0, 1)
    appending = asyncio.create_task(producer.append([b"2"]))
    await holds(held, 0, 1, 2)
    await put(producer, 3)
    blocked = asyncio.create_task(put(producer, 4))
    for _ in range(2):
        await aeventually(lambda: 1 in held.held, interval=0)
        held.decide(1, "lose")
    for each in (appending, blocked):
        with pytest.raises(StreamsUnavailable):
            await each
    held.decide(0)
    await settled()
    assert held.under_way == 0
    await put(producer, 5)
    await finish(held, producer.flush())
    assert await stored(held) == [b"0", b"1", b"2", b"3", b"5"]
    assert len(set(held.sent)) == 5


async def test_a_claim_gives_up_what_is_under_way(held: Held, produce: Produce) -> None:
    producer = produce()
    appending = asyncio.create_task(producer.append([b"0"]))
    await put(producer, 1, 2)
    await holds(held, 0, 1, 2)
    late = held.sent[0]
    claiming = asyncio.create_task(producer.claim([b"3"]))
    await holds(held, 0, 1, 2, MAX_INTEGER)
    held.decide(MAX_INTEGER)
    await holds(held, 0)
    held.decide(0)
    await claiming
    with pytest.raises(StaleEpoch):
        await appending
    with pytest.raises(StaleEpoch):  # it may have been on its way
        await held.inner.append("s", late[1], producer=late[0])
    await put(producer, 4)
    await finish(held, producer.flush())
    assert await stored(held) == [b"3", b"4"]


async def test_whoever_waits_is_told_when_it_is_closed(held: Held, produce: Produce) -> None:
    producer = produce(max_unsent_bytes=0, max_in_flight=1)
    await put(producer, 0, 1)
    calls = (producer.append([b"2"]), producer.flush(), put(producer, 3), producer.room())
    waiting = [asyncio.create_task(call) for call in calls]
    await holds(held, 0)
    await producer.aclose()
    for each in waiting:
        with pytest.raises(ProducerClosed):
            await each
    assert held.under_way == 0


async def test_a_fresh_epoch_is_not_begun_with_its_second_number(held: Held, produce: Produce) -> None:
    """A server refuses that for good."""
    await held.inner.append("s", [b"0"], producer=ProducerTuple("p", 0, 0))
    producer = produce(epoch=1)
    await put(producer, 1, 2, 3)
    await holds(held, 0)
    await settled()
    assert held.held == [0]
    held.decide(0)
    await holds(held, 1, 2)
    await finish(held, producer.flush())
    with pytest.raises(InvalidRequest):
        await held.inner.append("s", [b"4"], producer=ProducerTuple("p", 2, 1))
    assert await stored(held) == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("missed_first", [True, False])
async def test_one_that_was_overtaken_does_not_wait_through_a_pause(
    held: Held, produce: Produce, missed_first: bool
) -> None:
    """Nobody sends it again before the next call, so nobody may be left waiting for it."""
    producer = produce(attempts=2)
    appending = [asyncio.create_task(producer.append([b"%d" % n])) for n in range(3)]
    await holds(held, 0, 1, 2)
    if missed_first:
        held.decide(1)
        await holds(held, 0, 2)
    for _ in range(2):
        await aeventually(lambda: 2 in held.held, interval=0)
        held.decide(2, "lose")
    await settled()
    if not missed_first:
        held.decide(1)
    for each in appending[1:]:
        with pytest.raises(StreamsUnavailable):
            await asyncio.wait_for(each, 5)
    held.decide(0)
    await appending[0]
    await finish(held, producer.append([b"3"]))
    assert await stored(held) == [b"0", b"1", b"2", b"3"]

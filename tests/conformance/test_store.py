"""What every store must do, run over each of them."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.conftest import Clock
from tests.support.stores import JSON, LIMIT, TEXT, by, messages, numbers, whole
from webapp.streams.protocol import json_mode
from webapp.streams.protocol.commands import Append, Create
from webapp.streams.protocol.errors import (
    InvalidRequest,
    SequenceGap,
    StaleEpoch,
    StreamClosed,
    StreamConflict,
    StreamGone,
    StreamNotFound,
)
from webapp.streams.protocol.lifetimes import Lifetime
from webapp.streams.protocol.offsets import START, Offset, Tail
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.signals import first
from webapp.streams.store.base import PageLimit, StreamStore


async def test_a_created_stream_is_empty_and_has_a_real_offset(store: StreamStore) -> None:
    created = await store.create("s", Create(content_type=JSON))
    assert created.new
    page = await store.read("s", START, limit=LIMIT)
    assert page.chunks == ()
    assert page.next == created.record.tail == (await store.head("s")).tail
    assert page.up_to_date
    assert str(page.next) not in ("-1", "now")


async def test_creating_again_finds_the_stream(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON, chunk=b"1"))
    again = await store.create("s", Create(content_type="application/json; charset=utf-8", chunk=b"2"))
    assert not again.new
    assert await numbers(store, "s") == [1]


@pytest.mark.parametrize(
    "other",
    [
        Create(content_type=TEXT),
        Create(content_type=JSON, closed=True),
        Create(content_type=JSON, lifetime=Lifetime(ttl=5)),
    ],
)
async def test_creating_otherwise_is_a_conflict(store: StreamStore, other: Create) -> None:
    await store.create("s", Create(content_type=JSON))
    with pytest.raises(StreamConflict):
        await store.create("s", other)


async def test_offsets_grow_and_any_chain_of_reads_gives_the_log(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    tails = [(await store.append("s", messages(n, n + 1))).record.tail for n in range(0, 20, 2)]
    assert [str(tail) for tail in tails] == sorted({str(tail) for tail in tails})
    for limit in (PageLimit(1, 1), PageLimit(5, 1000), PageLimit(1 << 20, 3), LIMIT):
        assert [int(m) for m in await whole(store, "s", limit=limit)] == list(range(20))
    for index, tail in enumerate(tails):
        page = await store.read("s", tail, limit=LIMIT)
        assert [int(m) for m in json_mode.unpack(page.chunks)] == list(range(2 * index + 2, 20))


async def test_a_long_log_reads_the_same_from_every_offset(store: StreamStore) -> None:
    """The newest part is served from memory and the rest from disk; nobody can tell where one ends."""
    await store.create("s", Create(content_type=JSON))
    start = (await store.head("s")).tail
    tails = [start]
    for n in range(150):
        chunk = b'"%b"\n%d' % (b"x" * 1000, n)
        tails.append((await store.append("s", Append(chunk=chunk, content_type=JSON))).record.tail)
    for index, tail in enumerate(tails):
        page = await store.read("s", tail, limit=LIMIT)
        assert [int(m) for m in json_mode.unpack(page.chunks)[1::2]] == list(range(index, 150))


async def test_a_page_never_cuts_an_append(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    for size in (3, 1, 5):
        await store.append("s", messages(*range(size)))
    page = await store.read("s", START, limit=PageLimit(1, 1))
    assert page.chunks == (b"0\n1\n2",)
    assert not page.up_to_date


async def test_bytes_are_counted_in_bytes(store: StreamStore) -> None:
    await store.create("s", Create(content_type=TEXT, chunk=b"hello "))
    tail = (await store.append("s", Append(chunk=b"world\n", content_type=TEXT))).record.tail
    assert tail.position == 12
    page = await store.read("s", Offset(tail.generation, 3), limit=LIMIT)
    assert b"".join(page.chunks) == b"lo world\n"


async def test_reading_from_now_gives_only_what_comes(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON, chunk=b"1"))
    page = await store.read("s", Tail.NOW, limit=LIMIT)
    assert page.chunks == ()
    await store.append("s", messages(2))
    assert (await store.read("s", page.next, limit=LIMIT)).chunks == (b"2",)


async def test_what_is_not_there(store: StreamStore) -> None:
    for attempt in (
        store.read("s", START, limit=LIMIT),
        store.head("s"),
        store.delete("s"),
        store.append("s", messages(1)),
        store.touch("s"),
    ):
        with pytest.raises(StreamNotFound):
            await attempt


async def test_another_content_type_is_a_conflict(store: StreamStore) -> None:
    await store.create("s", Create(content_type=TEXT))
    with pytest.raises(StreamConflict):
        await store.append("s", messages(1))
    with pytest.raises(InvalidRequest):
        await store.append("s", Append(chunk=b"x"))


async def test_a_closed_stream_takes_nothing_more(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    closing = await store.append("s", Append(chunk=b"1", content_type=JSON, close=True))
    assert closing.record.closed
    assert (await store.append("s", Append(close=True))).duplicate
    with pytest.raises(StreamClosed) as closed:
        await store.append("s", messages(2))
    assert closed.value.tail == str(closing.record.tail)
    with pytest.raises(StreamClosed):  # closure comes before content type and body
        await store.append("s", Append(chunk=b"x", content_type=TEXT, defect=InvalidRequest("bad")))
    page = await store.read("s", START, limit=LIMIT)
    assert page.closed
    assert page.chunks == (b"1",)


async def test_only_the_last_page_says_closed(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    await store.append("s", messages(1))
    await store.append("s", Append(chunk=b"2", content_type=JSON, close=True))
    page = await store.read("s", START, limit=PageLimit(1, 1))
    assert not page.closed
    assert (await store.read("s", page.next, limit=LIMIT)).closed


async def test_the_same_append_is_stored_once(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    assert not (await store.append("s", by(ProducerTuple("p", 0, 0), 1))).duplicate
    assert (await store.append("s", by(ProducerTuple("p", 0, 0), 1))).duplicate
    await store.append("s", by(ProducerTuple("p", 0, 1), 2))
    late = await store.append("s", by(ProducerTuple("p", 0, 0), 1))
    assert late.duplicate
    assert late.producer == ProducerTuple("p", 0, 1)
    await store.append("s", by(ProducerTuple("q", 4, 0), 3))
    assert await numbers(store, "s") == [1, 2, 3]


async def test_a_newer_epoch_fences_the_older(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    await store.append("s", by(ProducerTuple("p", 0, 0), 1))
    await store.append("s", by(ProducerTuple("p", 3, 0), 2))
    with pytest.raises(StaleEpoch) as stale:
        await store.append("s", by(ProducerTuple("p", 0, 1), 9))
    assert stale.value.current_epoch == 3
    with pytest.raises(SequenceGap) as gap:
        await store.append("s", by(ProducerTuple("p", 3, 2), 9))
    assert (gap.value.expected, gap.value.received) == (1, 2)
    assert await numbers(store, "s") == [1, 2]


async def test_a_refused_append_uses_up_no_sequence_number(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    broken = Append(
        chunk=b"x", content_type=JSON, producer=ProducerTuple("p", 0, 0), defect=InvalidRequest("bad")
    )
    with pytest.raises(InvalidRequest):
        await store.append("s", broken)
    assert not (await store.append("s", by(ProducerTuple("p", 0, 0), 1))).duplicate


async def test_closing_is_idempotent_for_the_producer_that_closed(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    await store.append("s", by(ProducerTuple("p", 0, 0), 1, close=True))
    assert (await store.append("s", by(ProducerTuple("p", 0, 0), 1, close=True))).duplicate
    with pytest.raises(StreamClosed):
        await store.append("s", by(ProducerTuple("p", 0, 1), 2))
    assert await numbers(store, "s") == [1]


async def test_writer_sequences_are_compared_as_bytes(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))

    async def seq(value: str, producer: ProducerTuple | None = None) -> bool:
        append = Append(chunk=b"1", content_type=JSON, writer_seq=value, producer=producer)
        return (await store.append("s", append)).duplicate

    await seq("10")
    await seq("2", ProducerTuple("p", 0, 0))
    assert await seq("2", ProducerTuple("p", 0, 0))  # a retry is a duplicate before it is a regression
    for stale in ("2", "10", "1", ""):
        with pytest.raises(StreamConflict):
            await seq(stale)
    await seq("B")
    await seq("a")


async def test_concurrent_appends_make_one_log(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    appends = [store.append("s", messages(n * 10, n * 10 + 1)) for n in range(200)]
    acked = await asyncio.gather(*appends)
    assert len({outcome.record.tail for outcome in acked}) == 200
    log = await numbers(store, "s")
    in_order = sorted(range(200), key=lambda n: acked[n].record.tail)
    assert log == [number for n in in_order for number in (n * 10, n * 10 + 1)]


async def test_an_ack_is_visible_to_whoever_reads_next(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))

    async def write_then_read(n: int) -> None:
        tail = (await store.append("s", messages(n))).record.tail
        assert (await store.head("s")).tail >= tail
        assert n in await numbers(store, "s")

    await asyncio.gather(*(write_then_read(n) for n in range(50)))


async def test_a_ticket_taken_before_the_read_misses_nothing(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    total = 300

    async def follow() -> list[bytes]:
        found: list[bytes] = []
        where = START
        while len(found) < total:
            ticket = store.ticket("s")
            page = await store.read("s", where, limit=LIMIT)
            found += json_mode.unpack(page.chunks)
            where = page.next
            if len(found) < total and page.up_to_date:
                assert await first(ticket, seconds=20)
        return found

    followers = [asyncio.create_task(follow()) for _ in range(7)]
    for n in range(total):
        await store.append("s", messages(n))
    for log in await asyncio.gather(*followers):
        assert [int(m) for m in log] == list(range(total))


async def test_a_ticket_fires_for_its_own_stream(store: StreamStore) -> None:
    await store.create("a", Create(content_type=JSON))
    await store.create("b", Create(content_type=JSON))
    one, other = store.ticket("a"), store.ticket("b")
    await store.append("a", messages(1))
    assert one.fired
    assert not other.fired
    await store.delete("b")
    assert other.fired


async def test_a_recreated_stream_shares_no_offset_with_the_old_one(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    old = [(await store.append("s", messages(n))).record.tail for n in range(3)]
    await store.delete("s")
    with pytest.raises(StreamNotFound):
        await store.read("s", START, limit=LIMIT)
    created = await store.create("s", Create(content_type=JSON))
    new = [(await store.append("s", messages(n))).record.tail for n in range(3)]
    assert not {created.record.tail, *new} & set(old)
    for offset in old:
        with pytest.raises(StreamGone):
            await store.read("s", offset, limit=LIMIT)


async def test_producers_are_forgotten_with_their_stream(store: StreamStore) -> None:
    for _ in range(2):
        await store.create("s", Create(content_type=JSON))
        assert not (await store.append("s", by(ProducerTuple("p", 0, 0), 1))).duplicate
        await store.delete("s")


async def test_a_ttl_slides_with_use(store: StreamStore, clock: Clock) -> None:
    await store.create("s", Create(content_type=JSON, lifetime=Lifetime(ttl=10)))
    clock.advance(9)
    await store.append("s", messages(1))
    clock.advance(9)
    await store.head("s")  # looking is no use
    await store.touch("s")
    clock.advance(9)
    assert await numbers(store, "s") == [1]
    clock.advance(1)
    with pytest.raises(StreamNotFound):
        await store.read("s", START, limit=LIMIT)
    with pytest.raises(StreamNotFound):
        await store.append("s", messages(1))
    assert (await store.create("s", Create(content_type=JSON))).new


async def test_a_use_takes_back_nothing_that_happens_at_once(store: StreamStore) -> None:
    brief = Lifetime(ttl=100)
    await store.create("s", Create(content_type=JSON, lifetime=brief))
    await asyncio.gather(store.touch("s"), store.append("s", messages(1)))
    assert await numbers(store, "s") == [1]
    assert (await store.head("s")).position == 1
    await asyncio.gather(store.touch("s"), store.append("s", Append(close=True)))
    assert (await store.head("s")).closed
    assert (await store.read("s", START, limit=LIMIT)).record.closed
    again = Create(content_type=TEXT, chunk=b"again", lifetime=brief)
    await asyncio.gather(store.touch("s"), store.delete("s"), store.create("s", again))
    page = await store.read("s", START, limit=LIMIT)
    assert (page.content_type, page.chunks) == (TEXT, (b"again",))


async def test_an_expiry_does_not_slide(store: StreamStore, clock: Clock) -> None:
    clock.now = 1_893_455_990.0  # ten seconds before 2030
    await store.create("s", Create(content_type=JSON, lifetime=Lifetime(expires_at="2030-01-01T00:00:00Z")))
    clock.advance(9)
    await store.append("s", messages(1))
    clock.advance(1)
    with pytest.raises(StreamNotFound):
        await store.head("s")


async def test_paths_are_compared_as_they_came(store: StreamStore) -> None:
    await store.create("a%20b", Create(content_type=JSON))
    with pytest.raises(StreamNotFound):
        await store.head("A%20B")


async def test_a_cancelled_append_happens_whole_or_not_at_all(store: StreamStore) -> None:
    await store.create("s", Create(content_type=JSON))
    for n in range(30):
        task = asyncio.create_task(store.append("s", messages(n, n)))
        for _ in range(n % 4):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await store.append("s", messages(100))
    log = await numbers(store, "s")
    assert log[-1] == 100
    assert log[:-1:2] == log[1:-1:2] == sorted(log[:-1:2])

"""A producer with several appends under way, on networks and servers that do their worst."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.appends import Appends, stored
from tests.support.fault_proxy import FaultProxy
from tests.support.scheduler import interleave
from tests.support.server import ServerProcess
from tests.support.stream_server import stream_server, url_of
from tests.support.waiting import aeventually
from webapp.streams.clients.base import (
    AppendReceipt,
    PayloadTooLarge,
    ProducerTuple,
    StaleEpoch,
    StreamClient,
    StreamError,
    StreamsUnavailable,
)
from webapp.streams.clients.http import HttpStreamClient, Patience
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.clients.producer import IdempotentProducer, ProducerLimits
from webapp.streams.clients.retry import Retry
from webapp.streams.engine import Engine
from webapp.streams.limits import StreamLimits
from webapp.streams.store.memory import MemoryStore

POISON = b'"%b"' % (b"x" * 1000)
"""More than the server takes at once."""


class Adversary(Appends):
    """Delays, loses, doubles and reorders appends.

    What it has answered is over. What it has not answered may still arrive, at any time, and so may what the
    producer has stopped waiting for.
    """

    def __init__(self, inner: StreamClient, rng: Random) -> None:
        super().__init__(inner)
        self._rng = rng
        self._late: set[asyncio.Task[None]] = set()

    async def interfere(
        self, path: str, messages: Sequence[bytes], producer: ProducerTuple, close: bool
    ) -> AppendReceipt:
        fate = self._rng.choice(["arrives"] * 5 + ["twice", "mute", "lost", "late"])
        try:
            await asyncio.sleep(self._rng.random())
            if fate in ("twice", "mute"):
                with suppress(StreamError):
                    receipt = await super().interfere(path, messages, producer, close)
            if fate == "arrives":
                receipt = await super().interfere(path, messages, producer, close)
            elif fate == "twice":
                with suppress(StreamError):
                    await super().interfere(path, messages, producer, close)
                await super().interfere(path, messages, producer, close)
            await asyncio.sleep(self._rng.random())
        except asyncio.CancelledError:
            self._arrive_late(path, messages, producer)
            raise
        if fate == "late":
            self._arrive_late(path, messages, producer)
        if fate in ("mute", "lost", "late"):
            raise StreamsUnavailable(fate, retry_after=0.0)
        return receipt

    def _arrive_late(self, path: str, messages: Sequence[bytes], producer: ProducerTuple) -> None:
        async def arrive() -> None:
            await asyncio.sleep(self._rng.random() * 20)
            with suppress(StreamError):
                await self.inner.append(path, messages, producer=producer)

        self._late.add(asyncio.create_task(arrive()))

    async def last_ones(self) -> None:
        """Everything that was ever sent has arrived or is lost."""
        while self._late:
            await self._late.pop()


class Section:
    """What a writer was told of some messages that it wrote one after the other."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.unsure: set[bytes] = set()
        """Those that may not have been taken at all."""
        self.failed = False

    def check(self, log: list[bytes]) -> list[bytes]:
        """The section's part of ``log``."""
        found = [message for message in log if message in self.taken]
        expected = [each for each in self.taken if each not in self.unsure or each in found]
        if self.failed:
            if POISON in expected:
                expected = expected[: expected.index(POISON)]
            assert found == expected[: len(found)], "what is stored is not what came first"
        else:
            assert found == expected, "something is lost, doubled or out of order"
        return found


class Writer:
    """Makes calls of every kind, in any order, and keeps account of what it is told."""

    def __init__(self, producer: IdempotentProducer, rng: Random) -> None:
        self._producer = producer
        self._rng = rng
        self._numbers = (b"%d" % n for n in count())
        self.sections = [Section()]

    async def write(self, calls: int) -> None:
        for _ in range(calls):
            await self._rng.choice([self._put, self._put, self._append, self._flush, self._pause])()
        while not await self._flush():
            pass

    async def _put(self) -> None:
        messages = [next(self._numbers) for _ in range(self._rng.randrange(1, 4))]
        if self._rng.random() < 0.03:
            messages.append(POISON)
        if await self._told(self._producer.put(messages), cancel=self._rng.random() < 0.2):
            self._section.taken += messages

    async def _append(self) -> None:
        message = next(self._numbers)
        section = self._section
        section.taken.append(message)
        if self._rng.random() < 0.03:
            section.taken[-1] = message = POISON
        cancel = message is not POISON and self._rng.random() < 0.3
        if not await self._told(self._producer.append([message]), cancel=cancel):
            # Of a refused one it is known that it was not stored, but it may be another that was refused.
            section.unsure.add(message)

    async def _flush(self) -> bool:
        return await self._told(self._producer.flush())

    async def _pause(self) -> None:
        await asyncio.sleep(self._rng.random() * 3)

    async def _told(self, call: Awaitable[object], *, cancel: bool = False) -> bool:
        """Whether the call returned. A refusal ends the section."""
        task = asyncio.ensure_future(call)
        if cancel:
            await asyncio.wait({task}, timeout=self._rng.random())
            task.cancel()
        try:
            await task
        except PayloadTooLarge:
            self._begin()
            if self._rng.random() < 0.3:
                await self._claim()
            return False
        except (StreamsUnavailable, asyncio.CancelledError):
            return False
        return True

    async def _claim(self) -> None:
        message = next(self._numbers)
        self._begin()
        self._section.taken.append(message)
        self._section.unsure.add(message)
        with suppress(StreamsUnavailable):
            await self._producer.claim([message])
            self._section.unsure.clear()

    def _begin(self) -> None:
        self._section.failed = True
        self.sections.append(Section())

    @property
    def _section(self) -> Section:
        return self.sections[-1]


def adversary_of(rng: Random) -> Adversary:
    return Adversary(
        LocalStreamClient(Engine(MemoryStore(), limits=StreamLimits(max_append_bytes=1000))), rng
    )


def producer_of(client: StreamClient, rng: Random, **options: Any) -> IdempotentProducer:
    limits = ProducerLimits(
        linger=rng.choice([0.0, 0.5]),
        max_batch_messages=rng.choice([1, 3]),
        max_in_flight=rng.choice([1, 2, 5]),
        max_unsent_bytes=rng.choice([0, 10, 1000]),
    )
    options = {"retry": Retry(attempts=rng.choice([2, 50]), base=0.3, cap=2.0), **options}
    return IdempotentProducer(client, "s", producer_id="p", limits=limits, rng=rng, **options)


@pytest.mark.parametrize("times", [200, pytest.param(20_000, marks=pytest.mark.long)])
def test_every_message_is_stored_once_and_in_order(rng: Random, times: int) -> None:
    async def race(rng: Random) -> None:
        network = adversary_of(rng)
        await network.ensure("s")
        async with aclosing(producer_of(network, rng)) as producer:
            writer = Writer(producer, rng)
            await writer.write(30)
        await network.last_ones()
        log = await stored(network)
        assert log == [message for section in writer.sections for message in section.check(log)]
        assert network.most_under_way <= 5

    interleave(race, rng=rng, times=times)


@pytest.mark.parametrize("times", [200, pytest.param(20_000, marks=pytest.mark.long)])
def test_after_a_claim_nothing_of_an_older_epoch_is_stored(rng: Random, times: int) -> None:
    async def race(rng: Random) -> None:
        network = adversary_of(rng)
        await network.ensure("s")
        old, new = producer_of(network, rng), producer_of(network, rng, retry=Retry(attempts=1000))

        async def write() -> None:
            for n in count():
                await insist(partial(old.put, [b'"old %d"' % n]))
                await asyncio.sleep(rng.random())

        writing = asyncio.create_task(write())
        await asyncio.sleep(rng.random() * 10)
        await new.claim([b'"claimed"'])
        for n in range(10):
            await insist(partial(new.put, [b"%d" % n]))
        await insist(new.flush)
        with pytest.raises(StaleEpoch):
            await writing
        for producer in (old, new):
            await producer.aclose()
        await network.last_ones()
        log = await stored(network)
        first = log.index(b'"claimed"')
        assert log[:first] == [b'"old %d"' % n for n in range(first)]
        assert log[first:] == [b'"claimed"', *(b"%d" % n for n in range(10))]

    async def insist(call: Callable[[], Awaitable[object]]) -> None:
        while True:
            with suppress(StreamsUnavailable):
                await call()
                return

    interleave(race, rng=rng, times=times)


class Hesitant(Appends):
    """Every append takes some turns of the loop before and after it happens."""

    async def interfere(
        self, path: str, messages: Sequence[bytes], producer: ProducerTuple, close: bool
    ) -> AppendReceipt:
        for _ in range(2):
            await asyncio.sleep(0)
        receipt = await super().interfere(path, messages, producer, close)
        for _ in range(2):
            await asyncio.sleep(0)
        return receipt


CALLS: dict[str, Callable[[IdempotentProducer], Any]] = {
    "append": lambda producer: producer.append([b'"call"']),
    "put": lambda producer: producer.put([b'"call"']),
    "flush": lambda producer: producer.flush(),
    "room": lambda producer: producer.room(),
    "claim": lambda producer: producer.claim([b'"call"']),
    "aclose": lambda producer: producer.aclose(),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_is_cancelled_at_any_step(name: str) -> None:
    limits = ProducerLimits(
        linger=0.0, spacing=0.0, max_in_flight=2, max_batch_messages=1, max_unsent_bytes=0
    )
    before = asyncio.all_tasks()
    for steps in count():
        client = Hesitant(LocalStreamClient(Engine(MemoryStore())))
        await client.ensure("s")
        producer = IdempotentProducer(client, "s", producer_id="p", limits=limits)
        await producer.put([b"1", b"2", b"3"])
        call = asyncio.create_task(CALLS[name](producer))
        for _ in range(steps):
            await asyncio.sleep(0)
        finished = call.done()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        if name != "aclose":
            await producer.append([b"4"])
        await producer.aclose()
        assert asyncio.all_tasks() == before
        log = await stored(client)
        rest = [each for each in log if each != b'"call"']
        assert len(log) - len(rest) <= 1
        if name == "aclose":
            assert rest == [b"1", b"2", b"3"][: len(rest)]
        elif name == "claim":  # gives up what is not stored yet
            assert rest[:-1] == [b"1", b"2", b"3"][: len(rest) - 1]
            assert rest[-1] == b"4"
        else:
            assert rest == [b"1", b"2", b"3", b"4"]
            assert name in ("append", "put") or log == rest
        if finished:
            break
    assert steps > 3


HASTY = Patience(retry=Retry(attempts=2, base=0.005, cap=0.02))
FEW = ProducerLimits(linger=0.001, max_batch_messages=5)
PATIENT = Retry(attempts=10_000, base=0.005, cap=0.1)


@asynccontextmanager
async def over_http(url: str) -> AsyncIterator[tuple[Appends, IdempotentProducer]]:
    """A client of the server at ``url``, and a patient producer of its stream ``s``."""
    client = HttpStreamClient(url, patience=HASTY)
    await client.ensure("s")
    counting = Appends(client)
    producer = IdempotentProducer(counting, "s", producer_id="p", limits=FEW, retry=PATIENT)
    async with aclosing(client), aclosing(producer):
        yield counting, producer


async def test_a_server_that_is_killed_under_its_producer(
    start_server: Callable[..., ServerProcess],
) -> None:
    server = start_server("streams", command="streams")
    async with over_http(f"{server.url}/v1/stream") as (client, producer):
        numbers: Iterator[int] = iter(range(400))

        async def write(many: int) -> None:
            for _ in range(many):
                await producer.put([b"%d" % next(numbers)])
                await asyncio.sleep(0.001)

        for _ in range(2):
            await write(100)
            await aeventually(lambda: client.under_way >= 1, interval=0)
            server.kill9()
            await write(50)
            await asyncio.to_thread(server.start)
            await write(50)
        await asyncio.wait_for(producer.flush(), 20)
        assert await stored(client) == [b"%d" % n for n in range(400)]
        assert client.most_under_way == 5


async def test_answers_that_are_cut_off_at_any_byte(
    start_proxy: Callable[[int], FaultProxy], tmp_path: Path
) -> None:
    async with stream_server() as server:
        proxy = start_proxy(server.port)
        async with over_http(url_of(proxy.port)) as (client, producer):
            for n, length in enumerate(range(0, 400, 4)):
                proxy.cut_after(length)
                await producer.put([b"%d" % n] * 5)
                if n % 10 == 0:
                    proxy.reset()
                    await asyncio.sleep(0.01)
            await asyncio.wait_for(producer.flush(), 20)
            assert await stored(client) == [b"%d" % n for n in range(100) for _ in range(5)]
            assert len(client.sent) > 100

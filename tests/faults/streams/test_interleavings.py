"""Readers that go to sleep while others append: in no order of events does one of them oversleep."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from tests.support.scheduler import Scheduler
from tests.support.sse import SseReader
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.limits import StreamLimits
from webapp.streams.store.memory import MemoryStore
from webapp.streams.wire import WireRequest, WireResponse

JSON = "application/json"
NEVER = 1e6
LIMITS = StreamLimits(long_poll_timeout=NEVER, ping_interval=NEVER, sse_lifetime=2 * NEVER)
"""Whoever is not woken meets a time-out, and with this loop that comes at once."""
WRITERS = 3
ITEMS = 3


class Hesitant(MemoryStore):
    """A store whose every operation takes some turns of the loop before and after it happens, as a disk's."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self._rng = rng

    async def _hesitate(self) -> None:
        for _ in range(self._rng.randrange(4)):
            await asyncio.sleep(0)

    async def append(self, *args: Any, **kwargs: Any) -> Any:
        await self._hesitate()
        outcome = await super().append(*args, **kwargs)
        await self._hesitate()
        return outcome

    async def read(self, *args: Any, **kwargs: Any) -> Any:
        await self._hesitate()
        page = await super().read(*args, **kwargs)
        await self._hesitate()
        return page


async def ask(
    engine: Engine, method: str, body: bytes = b"", *, closed: bool = False, **query: str
) -> WireResponse:
    headers = {"content-type": JSON, "stream-closed": str(closed).lower()}
    request = WireRequest(method=method, path="s", query=tuple(query.items()), headers=headers, body=body)
    return await engine.handle(request)


async def by_sse(engine: Engine) -> list[int]:
    body = (await ask(engine, "GET", offset="-1", live="sse")).body
    assert not isinstance(body, bytes)
    events = [event async for frame in body for event in SseReader().feed(frame)]
    assert ":" not in [event.event for event in events], "a ping was sent before there was news"
    assert events[-1].json()["streamClosed"]
    return [item for event in events if event.event == "data" for item in event.json()]


async def by_long_poll(engine: Engine) -> list[int]:
    found: list[int] = []
    offset = "-1"
    while True:
        reply = await ask(engine, "GET", offset=offset, live="long-poll")
        offset = reply.header("Stream-Next-Offset") or ""
        if reply.status == 204:
            assert reply.header("Stream-Closed"), "the wait timed out before there was news"
            return found
        assert isinstance(reply.body, bytes)
        found += [int(item) for item in reply.body.strip(b"[]").split(b",")]


async def by_tail(engine: Engine) -> list[int]:
    pages = LocalStreamClient(engine).tail("s", offset="-1")
    return [int(message) async for page in pages for message in page.messages]


async def race(rng: Random) -> None:
    engine = Engine(Hesitant(rng), limits=LIMITS, rng=rng)
    await ask(engine, "PUT")

    async def write(writer: int) -> None:
        for item in range(ITEMS):
            await ask(engine, "POST", b"%d" % (writer * ITEMS + item))

    async def write_and_close() -> None:
        async with asyncio.TaskGroup() as writers:
            for writer in range(WRITERS):
                writers.create_task(write(writer))
        await ask(engine, "POST", closed=True)

    async with asyncio.timeout(NEVER / 2):
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(read(engine)) for read in (by_sse, by_long_poll, by_tail)]
            group.create_task(write_and_close())
    log = reading[0].result()
    assert sorted(log) == list(range(WRITERS * ITEMS))
    assert [task.result() for task in reading] == [log] * len(reading)


@pytest.mark.parametrize("count", [3000, pytest.param(30_000, marks=pytest.mark.long)])
def test_no_order_of_events_loses_a_wake_up(rng: Random, count: int) -> None:
    with asyncio.Runner(loop_factory=Scheduler) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Scheduler)
        for _ in range(count):
            seed = rng.getrandbits(64)
            loop.rng.seed(seed)
            try:
                runner.run(race(Random(seed)))
            except BaseException as error:
                error.add_note(f"interleaving {seed}")
                raise

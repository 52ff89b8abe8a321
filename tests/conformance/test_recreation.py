"""A stream that is deleted and made again under its readers: nobody is given some of both."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random

from tests.support.sse import SseReader
from webapp.streams.engine import Engine
from webapp.streams.limits import StreamLimits
from webapp.streams.store.base import StreamStore
from webapp.streams.wire import WireRequest, WireResponse

INCARNATIONS = 25
ITEMS = 4
GONE = (400, 404, 410)
Query = tuple[tuple[str, str], ...]
LIVE: tuple[Query, ...] = ((("live", "sse"),), (("live", "long-poll"),), ())


async def ask(engine: Engine, method: str, body: bytes = b"", *, query: Query = ()) -> WireResponse:
    headers = {"content-type": "application/json"}
    request = WireRequest(method=method, path="s", query=query, headers=headers, body=body)
    return await engine.handle(request)


async def replies(engine: Engine, live: Query) -> AsyncIterator[tuple[list[list[int]], str]]:
    """What one reader that begins at the beginning is given until it is turned away: items and offset."""
    offset = "-1"
    while (reply := await ask(engine, "GET", query=(("offset", offset), *live))).status not in GONE:
        if isinstance(reply.body, bytes):
            offset = reply.header("Stream-Next-Offset") or ""
            yield json.loads(reply.body or b"[]"), offset
            await asyncio.sleep(0)
            continue
        async for frame in reply.body:
            items = []
            for event in SseReader().feed(frame):
                if event.event == "data":
                    items = event.json()
                elif event.event == "control":
                    offset = event.json()["streamNextOffset"]
                    yield items, offset


async def test_readers_see_one_incarnation_and_then_the_end(store: StreamStore, rng: Random) -> None:
    engine = Engine(store, limits=StreamLimits(long_poll_timeout=0.05))
    over = asyncio.Event()

    async def live_and_die() -> None:
        for incarnation in range(INCARNATIONS):
            assert (await ask(engine, "PUT")).status == 201
            for item in range(ITEMS):
                await asyncio.sleep(rng.random() * 0.004)
                assert (await ask(engine, "POST", b"[[%d,%d]]" % (incarnation, item))).status == 204
            assert (await ask(engine, "DELETE")).status == 204
            await asyncio.sleep(rng.choice([0, 0.002]))
        over.set()

    async def read(live: Query) -> set[int]:
        met: set[int] = set()
        old = ""
        while not over.is_set():
            seen: list[list[int]] = []
            async for items, offset in replies(engine, live):
                assert offset > old, "an offset was given out twice"
                seen += items
                last = offset
                if old:  # an offset of the stream before this one is none of this one
                    assert (await ask(engine, "GET", query=(("offset", old),))).status in GONE
            if seen:
                assert seen == [[seen[0][0], item] for item in range(len(seen))]
                assert seen[0][0] not in met
                met.add(seen[0][0])
                old = last
            await asyncio.sleep(0)
        return met

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read(live)) for live in LIVE]
        group.create_task(live_and_die())
    assert all(reader.result() for reader in readers)

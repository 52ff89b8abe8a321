"""Many writers at once, writers out of order, and writers that die in the middle of a word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.faults.streams.conftest import Serve, reset
from tests.support.history import Append, Read, check
from tests.support.sse import Batch, abatches, afollow
from webapp.streams.engine import Engine
from webapp.streams.limits import StreamLimits
from webapp.streams.service import StreamsService
from webapp.streams.store.sqlite import SqliteStore

JSON = {"Content-Type": "application/json"}
Batches = AsyncGenerator[Batch, None]
WRITERS, APPENDS = 128, 3
TOTAL = WRITERS * APPENDS
LIMITS = StreamLimits(page_messages=50)


@pytest.fixture
async def http(serve: Serve, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a stream server on SQLite; paths are relative to the streams' own."""
    store = SqliteStore.open(tmp_path)
    port = await serve(StreamsService(Engine(store, limits=LIMITS)))
    pool = httpx.Limits(max_connections=WRITERS + 20)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/v1/stream/", limits=pool) as client:
        (await client.put("s", headers=JSON)).raise_for_status()
        yield client
    await store.aclose()


def producer(name: str, seq: int) -> dict[str, str]:
    return JSON | {"Producer-Id": name, "Producer-Epoch": "0", "Producer-Seq": str(seq)}


async def by_request(http: httpx.AsyncClient, **query: str) -> Batches:
    """Pages, one request each, for ever."""
    offset = "-1"
    while True:
        reply = (await http.get("s", params={"offset": offset, **query})).raise_for_status()
        offset = reply.headers["Stream-Next-Offset"]
        yield Batch(reply.json() if reply.content else [], offset, "Stream-Up-To-Date" in reply.headers)


async def contents(http: httpx.AsyncClient) -> list[Any]:
    """Everything up to the tail."""
    found: list[Any] = []
    async with aclosing(by_request(http)) as pages:
        async for page in pages:
            found += page.items
            if page.up_to_date:
                break
    return found


def by_sse(http: httpx.AsyncClient) -> Batches:
    return abatches(afollow(http, "s", offset="-1", live="sse"))


async def test_a_crowd_of_writers_and_readers_agrees_on_one_log(http: httpx.AsyncClient) -> None:
    appends: list[Append] = []
    reads: dict[int, list[Read]] = {}
    now = asyncio.get_running_loop().time

    async def write(writer: int) -> None:
        for item in range(writer * APPENDS, (writer + 1) * APPENDS):
            began = now()
            reply = await http.post("s", json=[item], headers=JSON)
            assert reply.status_code == 204
            offset = reply.headers["Stream-Next-Offset"]
            appends.append(Append(item, began, now(), offset))
            assert (await http.head("s")).headers["Stream-Next-Offset"] >= offset

    async def read(reader: int, batches: Batches, *, live: bool) -> None:
        mine = reads[reader] = []
        opened = now()
        async with aclosing(batches):
            while sum(len(read.items) for read in mine) < TOTAL:
                # What a live reply says was true at some time since it was opened.
                began = opened if live else now()
                batch = await anext(batches)
                start = mine[-1].next if mine else "-1"
                mine.append(Read(start, batch.items, batch.offset, batch.up_to_date, began, now()))

    async with asyncio.TaskGroup() as group:
        for reader in range(7):
            live = reader < 3
            polling = {"live": "long-poll"} if reader < 6 else {}
            batches = by_sse(http) if live else by_request(http, **polling)
            group.create_task(read(reader, batches, live=live))
        for writer in range(WRITERS):
            group.create_task(write(writer))
    logs = [[item for read in mine for item in read.items] for mine in reads.values()]
    assert all(one == logs[0] for one in logs)
    check(logs[0], appends, [read for mine in reads.values() for read in mine])


async def test_a_producer_whose_requests_overtake_each_other(http: httpx.AsyncClient, rng: Random) -> None:
    """Five in flight in any order, each sent again until it is taken, and sometimes once more after that."""
    gaps = 0
    inflight = asyncio.Semaphore(5)

    async def send(seq: int) -> None:
        nonlocal gaps
        async with inflight:
            while (reply := await http.post("s", json=[seq], headers=producer("p", seq))).status_code == 409:
                gaps += 1
                assert int(reply.headers["Producer-Received-Seq"]) == seq
                assert int(reply.headers["Producer-Expected-Seq"]) < seq
            assert reply.status_code == 200
            if rng.random() < 0.3:
                again = await http.post("s", json=[seq], headers=producer("p", seq))
                assert again.status_code == 204
                assert int(again.headers["Producer-Seq"]) >= seq

    order = [seq for first in range(0, 60, 5) for seq in rng.sample(range(first, first + 5), 5)]
    await asyncio.gather(*(send(seq) for seq in order))
    assert gaps
    assert await contents(http) == list(range(60))


async def test_a_writer_that_dies_at_any_byte_of_its_request(http: httpx.AsyncClient) -> None:
    def request(seq: int) -> bytes:
        body = json.dumps([[seq, "x" * 40]]).encode()
        fields = {**producer("p", seq), "Host": "x", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST /v1/stream/s HTTP/1.1\r\n{head}\r\n".encode() + body

    for seq in count():
        whole = request(seq)
        if seq > len(whole):
            break
        _, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
        writer.write(whole[:seq])
        await writer.drain()
        reset(writer)
        again = await http.post("s", json=[[seq, "x" * 40]], headers=producer("p", seq))
        # Only the whole request may have been stored already.
        assert again.status_code == 200 or (seq >= len(whole) and again.status_code == 204)
    assert await contents(http) == [[n, "x" * 40] for n in range(seq)]
    # Positions count messages: none was given out for nothing.
    assert again.headers["Stream-Next-Offset"].endswith(f"_{seq:016d}")

"""Readers come, go, vanish and stall by the thousand: nothing of them stays."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from pathlib import Path

import pytest

from tests.faults.streams.conftest import Serve, reset
from tests.support.waiting import aeventually
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.limits import Slots, StreamLimits
from webapp.streams.service import StreamsService
from webapp.streams.store.memory import MemoryStore
from webapp.streams.store.sqlite import SqliteStore

REQUEST = b"GET /v1/stream/s?offset=-1&live=%b HTTP/1.1\r\nHost: x\r\n\r\n"
SSE = REQUEST % b"sse"
LONG_POLL = REQUEST % b"long-poll"


class House:
    """A server, and what it holds on behalf of its readers."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.client = LocalStreamClient(engine)
        self.slots = Slots(per_principal=10_000, per_stream=10_000, total=10_000)
        self.service = StreamsService(engine, slots=self.slots)
        self.port = 0
        self.empty: dict[str, int] = {}

    async def connect(self, request: bytes = SSE) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        writer.write(request)
        return reader, writer

    def holds(self) -> dict[str, int]:
        return {
            "slots": self.slots.taken,
            "tasks": len(asyncio.all_tasks()),
            "descriptors": len(os.listdir("/proc/self/fd")),
        }

    def is_empty(self) -> bool:
        return self.holds() == self.empty


async def open_house(serve: Serve, engine: Engine) -> House:
    house = House(engine)
    await house.client.ensure("s")
    house.port = await serve(house.service)
    gc.collect()  # what earlier tests left behind is not to be counted
    house.empty = house.holds()
    return house


def resident() -> int:
    """Bytes of memory in use by this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def wave(house: House, size: int, request: bytes = SSE) -> None:
    """Open ``size`` readers, see that each is served, and drop them all."""
    connections = [await house.connect(request) for _ in range(size)]
    if request is SSE:
        for reader, _ in connections:
            await reader.readuntil(b'"upToDate":true')
    else:
        await aeventually(lambda: house.slots.taken == size)
    assert house.slots.taken == size
    for _, writer in connections:
        reset(writer)


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_five_thousand_readers_leave_nothing_behind(serve: Serve, tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path)
    house = await open_house(serve, Engine(store))
    await wave(house, 250)
    await aeventually(house.is_empty)
    memory = resident()
    for _ in range(20):
        await wave(house, 250)
        await aeventually(house.is_empty, what="a wave of readers to be gone")
    assert resident() - memory < 16 * 1024 * 1024
    await house.client.append("s", [b"1"])  # and it still works
    reader, writer = await house.connect()
    await reader.readuntil(b"data:[1]")
    reset(writer)
    await aeventually(lambda: house.slots.taken == 0)
    await store.aclose()


async def test_readers_gone_before_the_first_byte_give_their_slots_back(serve: Serve) -> None:
    house = await open_house(serve, Engine(MemoryStore()))
    for request in (SSE, LONG_POLL):
        for _ in range(300):
            _, writer = await house.connect(request)
            await writer.drain()
            reset(writer)
        await aeventually(house.is_empty, what="readers that never read to be gone")


async def test_a_thousand_connections_reset_at_once_leave_nothing_behind(serve: Serve) -> None:
    house = await open_house(serve, Engine(MemoryStore()))
    for said in (b"", SSE[:20]):
        for _ in range(500):
            _, writer = await house.connect(said)
            reset(writer)
        await aeventually(house.is_empty, what="connections that were reset to be gone")
    reader, writer = await house.connect()
    await reader.readuntil(b'"upToDate":true')  # and it still works
    reset(writer)


async def test_long_polls_that_are_dropped_leave_nothing_behind(serve: Serve) -> None:
    house = await open_house(serve, Engine(MemoryStore()))
    for _ in range(4):
        await wave(house, 50, LONG_POLL)
        await aeventually(house.is_empty)


@pytest.mark.parametrize("live", [True, False])
async def test_a_reader_that_stalls_is_dropped_and_holds_up_nobody(serve: Serve, live: bool) -> None:
    limits = StreamLimits(write_timeout=0.5)
    house = await open_house(serve, Engine(MemoryStore(), limits=limits))
    if not live:
        await house.client.append("s", [b'"%b"' % (b"x" * 8_000_000)])
    stalled = socket.socket()
    stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stalled.setblocking(False)
    await asyncio.get_running_loop().sock_connect(stalled, ("127.0.0.1", house.port))
    await asyncio.get_running_loop().sock_sendall(stalled, SSE)
    await aeventually(lambda: house.slots.taken == 1)
    if live:
        reader, writer = await house.connect()
        await reader.readuntil(b'"upToDate":true')
        filler = b'"%b"' % (b"x" * 100_000)
        for n in range(60):
            await house.client.append("s", [b"%d" % n, filler])
            await reader.readuntil(b"data:[%d," % n)  # its neighbour is served all the while
            await reader.readuntil(b'"upToDate":true')
        await aeventually(lambda: house.slots.taken == 1, what="the stalled reader to be dropped")
        reset(writer)
    await aeventually(lambda: house.slots.taken == 0, what="the stalled reader to be dropped")
    held_here = {**house.empty, "descriptors": house.empty["descriptors"] + 1}
    await aeventually(lambda: house.holds() == held_here, what="its connection to be cut")
    stalled.close()

"""A stream server that is killed, started again, and hangs, under a crowd of readers and a writer.

The servers are real processes: our own, and the reference server from npm.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults.streams.remote import LOST, Follower, client_at, flat
from tests.support.node_streams import NodeStreamServer
from tests.support.server import Process, ServerProcess
from tests.support.waiting import aeventually
from webapp.streams.clients.base import AppendReceipt, ProducerTuple
from webapp.streams.clients.http import HttpStreamClient, Patience
from webapp.streams.clients.producer import IdempotentProducer
from webapp.streams.clients.retry import Retry

READERS = 150
KEPT_ALIVE = 16
"""Connections that the client keeps for the next requests; those of live reads come on top."""
HASTY = Patience(
    retry=Retry(attempts=2, base=0.02, cap=0.1),
    reply=1.0,
    silence=1.5,
    reconnect=Retry(base=0.02, cap=0.3),
    brief=0.0,
    linger=0.1,
)
Make = Callable[..., Process]


def ours(data_dir: Path, *, memory: bool = False) -> Process:
    args = ("--store", "memory") if memory else ()
    env = {"DURABLE_CHAT_PING_INTERVAL": "0.3"}
    return ServerProcess(data_dir, command="streams", args=args, env=env)


@pytest.fixture(params=[ours, NodeStreamServer], ids=["durable-chat", "node"])
def make(request: pytest.FixtureRequest) -> Make:
    found: Make = request.param
    return found


@pytest.fixture
def server(make: Make, tmp_path: Path) -> Iterator[Process]:
    with make(tmp_path / "data") as process:
        yield process


class Writer:
    """Appends numbers to ``s`` as one producer until told to rest, and knows every try of each."""

    def __init__(self, client: HttpStreamClient) -> None:
        self.log: list[bytes] = []
        self.tries: defaultdict[ProducerTuple | None, list[Sequence[bytes]]] = defaultdict(list)
        self.resting = asyncio.Lock()
        self._client = client
        self._producer = IdempotentProducer(
            self,  # type: ignore[arg-type]
            "s",
            producer_id="p",
            retry=Retry(attempts=1000, base=0.02, cap=0.2),
        )
        self._task = asyncio.create_task(self._write())

    async def append(
        self, path: str, messages: Sequence[bytes], *, producer: ProducerTuple | None = None, close: bool
    ) -> AppendReceipt:
        """The producer's own client, on its way to the real one."""
        self.tries[producer].append(messages)
        return await self._client.append(path, messages, producer=producer, close=close)

    async def _write(self) -> None:
        while True:
            async with self.resting:
                message = b"%d" % len(self.log)
                await self._producer.append([message])
                self.log.append(message)
            await asyncio.sleep(0.01)

    async def wrote(self, more: int) -> None:
        enough = len(self.log) + more
        await aeventually(lambda: self._task.done() or len(self.log) >= enough, what=f"{more} more appends")
        assert not self._task.done(), self._task.exception()

    async def aclose(self) -> None:
        async with self.resting:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


def connections(port: int) -> int:
    """How many connections this machine's processes have to a port of it."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = "01"
    return sum(row[2].endswith(f":{port:04X}") and row[3] == established for row in rows)


def held() -> tuple[int, int]:
    """Tasks and descriptors of this process."""
    gc.collect()
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))


async def kill(server: Process, writer: Writer) -> None:
    """At any moment; the reference server only while nobody writes. What it was about to take at that moment
    is stored before its producer is, and would be taken again.
    """
    if isinstance(server, NodeStreamServer):
        async with writer.resting:
            await asyncio.to_thread(server.kill9)
    else:
        await asyncio.to_thread(server.kill9)


@pytest.mark.slow
async def test_a_crowd_outlives_its_server(server: Process) -> None:
    """F26."""
    before = held()
    async with client_at(server.streams_url, HASTY) as client:
        await client.ensure("s")
        followers = [Follower(client, forward=number % 2 == 0) for number in range(READERS)]
        writer = Writer(client)

        async def everybody_has_all() -> None:
            """So far, over one live read of the server."""
            await writer.wrote(10)
            async with writer.resting:
                whole = list(range(len(writer.log)))
                await aeventually(lambda: all(flat(each.items) == whole for each in followers))
                assert client.tails == 1
                assert connections(server.port) <= 1 + KEPT_ALIVE

        await everybody_has_all()
        await kill(server, writer)
        await asyncio.to_thread(server.start)
        await everybody_has_all()

        server.freeze()
        tried = sum(map(len, writer.tries.values()))
        await aeventually(lambda: sum(map(len, writer.tries.values())) > tried + 1, what="appends time out")
        server.thaw()
        await everybody_has_all()

        await kill(server, writer)
        await asyncio.to_thread(server.start)
        await everybody_has_all()

        await writer.aclose()
        assert not any(each.task.done() for each in followers)
        for each in followers:
            await each.aclose()
        stored = (await client.read("s")).messages
        assert list(stored) == writer.log
    assert any(len(tries) > 1 for tries in writer.tries.values())
    for number, (producer, tries) in enumerate(writer.tries.items()):
        assert producer == ProducerTuple("p", 0, number)
        assert set(map(tuple, tries)) == {(b"%d" % number,)}
    await aeventually(lambda: held() == before, what="nothing to be left behind")


async def test_a_stream_that_was_lost_and_made_again_is_not_taken_for_the_old_one(
    make: Make, tmp_path: Path
) -> None:
    with make(tmp_path / "data", memory=True) as server:
        async with client_at(server.streams_url, HASTY) as client:
            await client.ensure("s")
            for number in range(5):
                await client.append("s", [b"%d" % number])
            followers = [Follower(client, forward=number % 2 == 0) for number in range(4)]
            await aeventually(lambda: all(flat(each.items) == list(range(5)) for each in followers))
            place = (await client.read("s")).next_offset
            await asyncio.to_thread(server.restart)
            await client.ensure("s")
            with pytest.raises(LOST):
                await client.read("s", offset=place)
            await client.append("s", [b"100"])
            await aeventually(lambda: all(each.gone for each in followers))
            assert all(flat(each.items) == list(range(5)) for each in followers)
            assert (await client.read("s")).messages == (b"100",)
            for each in followers:
                await each.aclose()

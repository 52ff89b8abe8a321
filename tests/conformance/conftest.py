"""The implementations that one suite is run over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.node_streams import NodeStreamServer
from tests.support.stream_server import stream_server
from webapp.streams.clients.base import StreamClient
from webapp.streams.clients.http import HttpStreamClient, Patience
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.limits import Drain, StreamLimits
from webapp.streams.store.base import StreamStore
from webapp.streams.store.memory import MemoryStore
from webapp.streams.store.sqlite import SqliteStore


class Clock:
    """Unix seconds that move only when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> AsyncIterator[StreamStore]:
    opened: StreamStore
    opened = (
        MemoryStore(clock=clock) if request.param == "memory" else SqliteStore.open(tmp_path, clock=clock)
    )
    yield opened
    await opened.aclose()


@pytest.fixture
def drain() -> Drain:
    return Drain()


@pytest.fixture(params=["local", "http", "node", "node-memory"])
async def client(request: pytest.FixtureRequest, drain: Drain, tmp_path: Path) -> AsyncIterator[StreamClient]:
    """Over HTTP the server is ours or, as ``node``, the reference server."""
    limits = StreamLimits(max_append_bytes=1000, page_messages=2)
    if request.param == "local":
        yield LocalStreamClient(Engine(MemoryStore(), limits=limits, drain=drain))
        return
    async with AsyncExitStack() as stack:
        if request.param == "http":
            url = (await stack.enter_async_context(stream_server(limits=limits, drain=drain))).url
        else:
            memory = request.param == "node-memory"
            url = stack.enter_context(NodeStreamServer(tmp_path / "node", memory=memory)).streams_url
        # The reference server leaves a live read open, and silent, when its stream is deleted.
        over_http = HttpStreamClient(url, limits=limits, drain=drain, patience=Patience(silence=2.0))
        yield over_http
        await over_http.aclose()

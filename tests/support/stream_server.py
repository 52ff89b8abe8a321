"""A stream server on a real socket, on the event loop of the test that uses it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from tests.support.waiting import aeventually
from webapp.streams.asgi import StreamsApp
from webapp.streams.clients.http import Patience
from webapp.streams.clients.retry import Retry
from webapp.streams.engine import Engine
from webapp.streams.limits import Drain, Slots, StreamLimits
from webapp.streams.service import StreamsService
from webapp.streams.store.memory import MemoryStore

BASE_PATH = "/v1/stream"

PATIENCE = Patience(
    retry=Retry(attempts=10, base=0.005, cap=0.02),
    reconnect=Retry(base=0.005, cap=0.05),
    brief=0.0,
    linger=0.1,
)
"""Of a client that is cut off again and again."""


class StreamServer:
    """The protocol over a store in memory. The store survives ``stop`` and ``start``; the port stays too.

    ``app`` may be replaced by any ASGI app, which is then served instead.
    """

    def __init__(
        self,
        *,
        limits: StreamLimits | None = None,
        drain: Drain | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.slots = Slots(per_principal=10_000, per_stream=10_000, total=10_000)
        self.engine = Engine(MemoryStore(clock=clock), limits=limits, drain=drain, clock=clock)
        self.app: Any = StreamsApp(StreamsService(self.engine, base_path=BASE_PATH, slots=self.slots))
        self.requests: list[str] = []
        """Method and target of every request, in order."""
        self.authorizations: set[str] = set()
        self.port = 0
        self._server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        return url_of(self.port)

    @property
    def connections(self) -> int:
        return 0 if self._server is None else len(self._server.server_state.connections)

    def live_requests(self) -> int:
        return sum("live=" in request for request in self.requests)

    async def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._running = asyncio.create_task(self._server.serve(sockets=[listener]))
        server = self._server
        await aeventually(lambda: server.started, interval=0.005)

    async def stop(self) -> None:
        """Cut every connection and stop listening."""
        if self._server is not None:
            self._server.force_exit = self._server.should_exit = True
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            await self._running
            self._server = None

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        target = scope["raw_path"].decode() + (f"?{query}" if query else "")
        self.requests.append(f"{scope['method']} {target}")
        headers = dict(scope["headers"])
        self.authorizations.add(headers.get(b"authorization", b"").decode())
        await self.app(scope, receive, send)


def url_of(port: int) -> str:
    """The base address of a stream server, or of a proxy before it, on this machine."""
    return f"http://127.0.0.1:{port}{BASE_PATH}"


@asynccontextmanager
async def stream_server(**options: Any) -> AsyncIterator[StreamServer]:
    """A running ``StreamServer``."""
    server = StreamServer(**options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()

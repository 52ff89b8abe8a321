"""A real server in this process, so that what it holds can be counted."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import uvicorn

from webapp.streams.asgi import StreamsApp, drop_stalled
from webapp.streams.http1 import HttpLimits, HttpServer
from webapp.streams.service import StreamsService

Serve = Callable[[StreamsService], Any]


def listener() -> socket.socket:
    """A free port of 127.0.0.1 with small buffers, so that a reader that does not read is soon noticed."""
    bound = socket.create_server(("127.0.0.1", 0), backlog=512)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    drop_stalled(bound, seconds=1.0)
    return bound


@asynccontextmanager
async def over_asgi(service: StreamsService) -> AsyncIterator[int]:
    with listener() as listen:
        config = uvicorn.Config(
            StreamsApp(service), lifespan="off", log_level="critical", timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listen]))
        try:
            while not server.started:  # noqa: ASYNC110  (uvicorn offers no event)
                await asyncio.sleep(0.01)
            yield listen.getsockname()[1]
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def over_http1(service: StreamsService) -> AsyncIterator[int]:
    with listener() as listen:
        server = HttpServer(service, limits=HttpLimits(connections=20_000))
        await server.start(listen)
        try:
            yield listen.getsockname()[1]
        finally:
            await server.aclose(grace=2.0)


@pytest.fixture(params=[over_asgi, over_http1])
async def serve(request: pytest.FixtureRequest) -> AsyncIterator[Serve]:
    """Serves a StreamsService by either of its carriers and returns the port."""
    async with AsyncExitStack() as stack:
        yield lambda service: stack.enter_async_context(request.param(service))


def reset(writer: asyncio.StreamWriter) -> None:
    """Hang up as a dying machine does: no goodbye, a reset."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()

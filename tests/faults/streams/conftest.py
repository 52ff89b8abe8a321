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

from webapp.streams.asgi import drop_stalled

Serve = Callable[[Any], Any]


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """Serve an ASGI app on a free port of 127.0.0.1."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    # Small buffers, so that a reader that does not read is noticed after little data.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    drop_stalled(listener, seconds=1.0)
    config = uvicorn.Config(app, lifespan="off", log_level="critical", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:  # noqa: ASYNC110  (uvicorn offers no event)
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await running
        listener.close()


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:
        yield lambda app: stack.enter_async_context(serving(app))


def reset(writer: asyncio.StreamWriter) -> None:
    """Hang up as a dying machine does: no goodbye, a reset."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()

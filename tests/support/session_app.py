"""A session's stream in the ways an app may have it, and an app that answers with what it is given."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.stream_server import StreamServer, stream_server, url_of
from webapp.session import DurableStream, DurableStreamTarget, HttpStreamClient, embedded_streams
from webapp.session.streams import AnyStream
from webapp.streams.asgi import ASGIScope, Receive, Send
from webapp.streams.clients.base import BEGINNING, StreamClient
from webapp.streams.engine import Engine
from webapp.streams.http1 import HttpServer
from webapp.streams.service import StreamsService
from webapp.streams.store.memory import MemoryStore

PATH = "chats/42"
WAYS = ("embedded", "elsewhere", "address")


@asynccontextmanager
async def session_stream(way: str) -> AsyncIterator[AnyStream]:
    """An empty session: embedded, of a server elsewhere by a client that is kept, or by its address alone."""
    if way == "embedded":
        async with embedded_streams() as streams:
            yield DurableStream(streams, PATH)
        return
    async with _elsewhere() as url:
        if way == "address":
            yield DurableStreamTarget(write_url=f"{url}/{PATH}")
            return
        client = HttpStreamClient(url)
        try:
            yield DurableStream(client, PATH)
        finally:
            await client.aclose()


@asynccontextmanager
async def _elsewhere() -> AsyncIterator[str]:
    """The address of a stream server, as ``durable-chat streams`` serves it."""
    with socket.create_server(("127.0.0.1", 0)) as listen:
        server = HttpServer(StreamsService(Engine(MemoryStore())))
        await server.start(listen)
        try:
            yield url_of(listen.getsockname()[1])
        finally:
            await server.aclose(grace=0)


async def events_in(stream: AnyStream) -> list[dict[str, Any]]:
    """Everything that is in the stream."""
    if isinstance(stream, DurableStream):
        return await _read(stream.client, stream.path)
    base, _, path = stream.write_url.rpartition("/")
    client = HttpStreamClient(base)
    try:
        return await _read(client, path)
    finally:
        await client.aclose()


async def _read(client: StreamClient, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    offset = BEGINNING
    while True:
        page = await client.read(path, offset=offset)
        found += [json.loads(message) for message in page.messages]
        if page.up_to_date:
            return found
        offset = page.next_offset


Handler = Callable[[ASGIScope, bytes], Awaitable[Any]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a real server, every request of which is answered by the ASGI app that ``handler`` returns
    for its scope and body.
    """

    async def app(scope: ASGIScope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        await (await handler(scope, body))(scope, receive, send)

    server: StreamServer
    async with stream_server() as server:
        server.app = app
        url = f"http://127.0.0.1:{server.port}"
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
            yield client

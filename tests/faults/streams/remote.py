"""A client of a stream server elsewhere that soon tries again, and readers who come back whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.sse import SseReader
from tests.support.stream_server import PATIENCE
from webapp.streams.clients.base import InvalidRequest, StreamGone, StreamNotFound
from webapp.streams.clients.http import HttpStreamClient, Patience
from webapp.streams.wire import WireRequest

LOST = (StreamNotFound, StreamGone, InvalidRequest)
"""How a reader learns that the stream is not there, or that their offset is none of its own, or not yet."""
PAUSE = 0.1
"""Seconds between a refusal and the next try of a reader."""


@asynccontextmanager
async def client_at(
    url: str, patience: Patience = PATIENCE, **options: Any
) -> AsyncIterator[HttpStreamClient]:
    client = HttpStreamClient(url, patience=patience, **options)
    try:
        yield client
    finally:
        await client.aclose()


class Follower:
    """Follows ``s`` from its beginning with ``tail``, or through ``forward`` with its own reconnects, until
    the stream is another.
    """

    def __init__(self, client: HttpStreamClient, *, forward: bool = False) -> None:
        self.client = client
        self.items: list[bytes] = []
        self.gone = False
        self.task = asyncio.create_task(self._forward() if forward else self._tail())

    async def _tail(self) -> None:
        try:
            async for page in self.client.tail("s", offset="-1"):
                self.items += page.messages
        except LOST:
            self.gone = True

    async def _forward(self) -> None:
        offset = "-1"
        while not self.gone:
            query = (("offset", offset), ("live", "sse"))
            reply = await self.client.forward(WireRequest(method="GET", path="s", query=query))
            self.gone = reply.status in (kind.status for kind in LOST)
            if reply.status != 200:
                await asyncio.sleep(PAUSE)
                continue
            assert not isinstance(reply.body, bytes)
            async for frame in reply.body:
                data: list[bytes] = []
                for event in SseReader().feed(frame):
                    if event.event == "data":
                        data = [event.data.encode()]
                    elif event.event == "control":
                        offset = event.json()["streamNextOffset"]
                        self.items += data

    async def aclose(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def flat(items: list[bytes]) -> list[int]:
    """The numbers in messages and in arrays of messages."""
    return [int(number) for item in items for number in item.strip(b"[]").split(b",")]

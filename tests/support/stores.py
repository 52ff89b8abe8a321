"""Appends to stores, and what is stored in the end."""

from __future__ import annotations

from webapp.streams.protocol import json_mode
from webapp.streams.protocol.commands import Append
from webapp.streams.protocol.offsets import START
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.store.base import PageLimit, StreamStore

JSON = "application/json"
TEXT = "text/plain"
LIMIT = PageLimit(size=1 << 20, units=1 << 20)


def messages(*items: int | str) -> Append:
    return Append(chunk=json_mode.pack(str(item).encode() for item in items), content_type=JSON)


def by(producer: ProducerTuple, *items: int, close: bool = False) -> Append:
    return Append(chunk=messages(*items).chunk, content_type=JSON, producer=producer, close=close)


async def whole(store: StreamStore, path: str, *, limit: PageLimit = LIMIT) -> list[bytes]:
    """Every message, read page by page."""
    page = await store.read(path, START, limit=limit)
    found = list(json_mode.unpack(page.chunks))
    while not page.up_to_date:
        page = await store.read(path, page.next, limit=limit)
        assert page.chunks
        found += json_mode.unpack(page.chunks)
    return found


async def numbers(store: StreamStore, path: str) -> list[int]:
    return [int(message) for message in await whole(store, path)]

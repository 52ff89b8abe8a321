"""Where a session's stream is: a client and a path, or an address and its headers.

Owns how either becomes something to write to. Must not know what is written.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from webapp.streams.clients.base import StreamClient
from webapp.streams.clients.http import HttpStreamClient
from webapp.streams.clients.local import LocalStreamClient
from webapp.streams.engine import Engine
from webapp.streams.limits import Drain
from webapp.streams.protocol import paths
from webapp.streams.store.base import StreamStore
from webapp.streams.store.memory import MemoryStore
from webapp.streams.store.sqlite import SqliteStore

HeaderValue: TypeAlias = str | Callable[[], str | Awaitable[str]]


@dataclass(frozen=True, slots=True)
class DurableStream:
    """A stream of a client that the app keeps open: ``DurableStream(streams, "chats/42")``.

    ``path`` is relative to the server. ``read_url`` is where others read the stream, for responses that say
    so. With ``create_if_missing`` helpers that write create the stream; reads never need that.
    """

    client: StreamClient
    path: str
    read_url: str | None = None
    create_if_missing: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableStreamTarget:
    """A stream by its address: ``http://host:4437/v1/stream/chats/42``.

    Each call of a helper opens connections of its own for it and closes them. An app with many calls, or with
    live readers, does better to keep one ``HttpStreamClient`` and pass ``DurableStream``s.

    ``read_url`` is where others read the stream (the same address if it is missing). ``headers`` go with
    every request; a value may be a function, sync or async, which is asked once per call of a helper.
    """

    write_url: str
    read_url: str | None = None
    headers: Mapping[str, HeaderValue] = field(default_factory=dict, repr=False)
    create_if_missing: bool = True


AnyStream: TypeAlias = DurableStream | DurableStreamTarget


@asynccontextmanager
async def opened(stream: AnyStream, *, to_read: bool = False) -> AsyncIterator[DurableStream]:
    """The stream with a client to reach it. Raises ValueError for an address that cannot be one."""
    if isinstance(stream, DurableStream):
        yield stream
        return
    address = (stream.read_url or stream.write_url) if to_read else stream.write_url
    paths.split_base(address)
    base, _, path = address.rpartition("/")
    headers = {name: await _resolved(value) for name, value in stream.headers.items()}
    client = HttpStreamClient(base, headers=headers)
    try:
        yield DurableStream(client, path, stream.read_url or stream.write_url, stream.create_if_missing)
    finally:
        await client.aclose()


@asynccontextmanager
async def embedded_streams(data_dir: Path | str | None = None) -> AsyncIterator[LocalStreamClient]:
    """A stream server in this process: on SQLite in ``data_dir``, or in memory and gone at the end.

    One process may have a directory open. Raises DataDirectoryInUse or StoreDamaged
    (``webapp.streams.store.sqlite``).
    """
    store: StreamStore = MemoryStore() if data_dir is None else SqliteStore.open(Path(data_dir))
    drain = Drain()
    try:
        yield LocalStreamClient(Engine(store, drain=drain))
    finally:
        drain.set()
        await store.aclose()


async def _resolved(value: HeaderValue) -> str:
    given = value() if callable(value) else value
    return await given if inspect.isawaitable(given) else given

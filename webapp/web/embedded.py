"""The embedded stream server: a store and the engine over it, opened and closed together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from webapp.settings import Settings
from webapp.streams.engine import Engine
from webapp.streams.limits import Drain, StreamLimits
from webapp.streams.store.base import StreamStore
from webapp.streams.store.memory import MemoryStore
from webapp.streams.store.sqlite import SqliteStore


@asynccontextmanager
async def open_engine(
    settings: Settings, *, clock: Callable[[], float], drain: Drain, in_memory: bool = False
) -> AsyncIterator[Engine]:
    """An engine over the data directory, or over a store ``in_memory`` that ends with it.

    Raises DataDirectoryInUse or StoreDamaged before anything is served.
    """
    data_dir = settings.storage.data_dir
    store: StreamStore = MemoryStore(clock=clock) if in_memory else SqliteStore.open(data_dir, clock=clock)
    try:
        yield Engine(store, limits=stream_limits(settings), clock=clock, drain=drain)
    finally:
        await store.aclose()


def stream_limits(settings: Settings) -> StreamLimits:
    """The stream server's bounds: its defaults, and what the settings change."""
    ours = settings.streams
    return StreamLimits(
        long_poll_timeout=ours.long_poll_timeout,
        ping_interval=ours.ping_interval,
        sse_lifetime=ours.sse_lifetime,
        write_timeout=ours.write_timeout,
        body_timeout=settings.server.body_timeout,
    )

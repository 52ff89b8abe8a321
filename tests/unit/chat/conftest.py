"""A chat to test in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.chats import World
from webapp.streams.store.memory import MemoryStore


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Streams in memory and a catalog; supervisors are booted by the test and closed here.

    ``tests/faults/chat`` has the same over SQLite too.
    """
    store = MemoryStore()
    world = World(store, tmp_path)
    yield world
    await world.aclose()
    await store.aclose()

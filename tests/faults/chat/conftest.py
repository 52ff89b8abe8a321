"""A chat to test in, over both stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.chats import World
from webapp.streams.store.memory import MemoryStore
from webapp.streams.store.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """Streams and a catalog; supervisors are booted by the test and closed here."""
    store = MemoryStore() if request.param == "memory" else SqliteStore.open(tmp_path / "streams")
    world = World(store, tmp_path)
    yield world
    await world.aclose()
    await store.aclose()

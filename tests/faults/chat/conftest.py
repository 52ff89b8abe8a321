"""A chat to test in, over both stores; and a model to fail in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.chats import World
from tests.support.model_chat import KEY
from tests.support.model_server import ModelServer
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


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    """A server that the providers' own clients are led to."""
    with ModelServer() as model, pytest.MonkeyPatch.context() as patch:
        for name, value in model.environ(KEY).items():
            patch.setenv(name, value)
        yield model

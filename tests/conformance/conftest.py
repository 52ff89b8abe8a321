"""The implementations that one suite is run over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from webapp.streams.store.base import StreamStore
from webapp.streams.store.memory import MemoryStore
from webapp.streams.store.sqlite import SqliteStore


class Clock:
    """Unix seconds that move only when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> AsyncIterator[StreamStore]:
    opened: StreamStore
    opened = (
        MemoryStore(clock=clock) if request.param == "memory" else SqliteStore.open(tmp_path, clock=clock)
    )
    yield opened
    await opened.aclose()

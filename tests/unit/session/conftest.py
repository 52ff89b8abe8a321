"""A session's stream, empty."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.session_app import PATH, WAYS, session_stream
from webapp.session import DurableStream, embedded_streams
from webapp.session.streams import AnyStream


@pytest.fixture(params=WAYS)
async def stream(request: pytest.FixtureRequest) -> AsyncIterator[AnyStream]:
    """In each of the ways an app may have it."""
    async with session_stream(request.param) as stream:
        yield stream


@pytest.fixture
async def embedded() -> AsyncIterator[DurableStream]:
    """In this process."""
    async with embedded_streams() as streams:
        yield DurableStream(streams, PATH)

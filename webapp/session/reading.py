"""Reads a session's stream: once, from an offset, as events, or on behalf of a browser.

Owns the loop over pages. Must not know who writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from webapp.agents.base import Event
from webapp.chat import events
from webapp.session.streams import DurableStream
from webapp.streams.clients.base import BEGINNING, ReadPage


async def pages(place: DurableStream, *, offset: str = BEGINNING) -> AsyncIterator[ReadPage]:
    """What is in the stream now, after ``offset``."""
    while True:
        page = await place.client.read(place.path, offset=offset)
        yield page
        if page.up_to_date:
            return
        offset = page.next_offset
        await asyncio.sleep(0)


async def stored_events(place: DurableStream) -> AsyncIterator[Event]:
    """Every event that is in the stream now."""
    async for page in pages(place):
        for message in page.messages:
            yield events.decode(message)


async def wait_for_end(place: DurableStream, run_id: str) -> None:
    """Return once the run's terminal event is in the stream, or the stream ends."""
    async with aclosing(place.client.tail(place.path, offset=BEGINNING)) as tail:
        async for page in tail:
            for message in page.messages:
                event = events.decode(message)
                if event.get("type") in events.TERMINAL and event.get("runId") == run_id:
                    return

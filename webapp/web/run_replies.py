"""A run as the reply to one request: its events in a framing, pings while it is silent, and how it ends.

A whole reply has the run's terminal event. One that cannot have it, because the server drains or the stream
is out of reach, is broken off instead of ended: published clients resume what was cut, and take an end
without a terminal event for a run that will never have one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from webapp.chat.following import RunEvent
from webapp.streams.protocol import names
from webapp.streams.wire import WireResponse
from webapp.web.run_frames import Framing
from webapp.web.run_places import RunPlace, events_from
from webapp.web.services import Services

RUN_ID = "X-Run-Id"


def reply(services: Services, place: RunPlace, framing: Framing, *, head: bool = False) -> WireResponse:
    """200 with the run's events; ``head`` leaves them out."""
    events = _frames(events_from(services, place), framing, interval=services.settings.streams.ping_interval)
    return WireResponse(
        status=200,
        headers=(
            (names.CONTENT_TYPE, framing.content_type),
            (names.CACHE_CONTROL, "no-store"),
            ("X-Accel-Buffering", "no"),
            (RUN_ID, place.run_id),
        ),
        body=b"" if head else events,
    )


async def _frames(
    batches: AsyncGenerator[list[RunEvent], None], framing: Framing, *, interval: float
) -> AsyncGenerator[bytes, None]:
    """What is read at once is sent at once."""
    async with aclosing(batches):
        while True:
            coming = asyncio.ensure_future(anext(batches, None))
            try:
                while not (await asyncio.wait({coming}, timeout=interval))[0]:
                    yield framing.ping
            finally:
                # Before the generator is closed, which it cannot be while it is running.
                coming.cancel()
                await asyncio.wait({coming})
            batch = coming.result()
            if batch is None:
                return
            yield b"".join(map(framing.encode, batch))

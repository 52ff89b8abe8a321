"""Reads a session's stream: once, from an offset, as events, or until a run has ended.

Owns the loop over pages, and which runs are open. Must not know who writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.reducer.parts import record, string
from webapp.session.streams import DurableStream
from webapp.streams.clients.base import BEGINNING, ReadPage


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has begun and not ended, and the parts of it that are open."""

    thread_id: str
    parts: events.OpenParts = field(default_factory=events.OpenParts)


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


async def open_runs(place: DurableStream) -> dict[str, OpenRun]:
    """The runs that have begun and not ended as the stream is now, by their ids."""
    runs: dict[str, OpenRun] = {}
    owners: dict[str, str] = {}
    async for event in stored_events(place):
        run_id = _run_of(event, owners)
        if event.get("type") == events.RUN_STARTED:
            runs[run_id] = OpenRun(string(event, "threadId"))
        elif event.get("type") in events.TERMINAL:
            runs.pop(run_id, None)
        elif run_id in runs:
            runs[run_id].parts.feed(event)
    return runs


def _run_of(event: Event, owners: dict[str, str]) -> str:
    run_id = string(event, "runId") or string(record(event.get("metadata")), "runId")
    message_id = string(event, "messageId")
    if run_id and event.get("type") == events.TEXT_MESSAGE_START:
        owners[message_id] = run_id
    return run_id or owners.get(message_id, "")

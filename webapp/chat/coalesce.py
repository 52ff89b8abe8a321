"""Fewer, larger events: what a run emits word by word is appended in batches of merged deltas.

``merge`` is pure. ``batches`` gathers what a source yields while its consumer is busy appending, so that load
makes batches larger and not the queue longer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from typing import Final

from webapp.agents.base import Event
from webapp.chat.events import DELTAS

MAX_DELTA_BYTES: Final = 2048
MAX_BATCH: Final = 512
"""Events that wait for the consumer at most; then the source waits."""


def merge(events: Iterable[Event], *, limit: int = MAX_DELTA_BYTES) -> list[Event]:
    """Join neighbouring deltas of the same thing, up to ``limit`` bytes of text each.

    Only events equal in everything but ``delta`` and ``timestamp`` are joined (the first timestamp stays), so
    nothing a reader could see is lost. A delta that is longer by itself passes as it is.
    """
    merged: list[Event] = []
    size = 0
    for event in events:
        own = _delta_size(event)
        if merged and own is not None and size + own <= limit and _same_thing(merged[-1], event):
            merged[-1] = {**merged[-1], "delta": merged[-1]["delta"] + event["delta"]}
            size += own
        else:
            merged.append(event)
            size = limit if own is None else own
    return merged


def _delta_size(event: Event) -> int | None:
    delta = event.get("delta")
    if event.get("type") not in DELTAS or not isinstance(delta, str):
        return None
    return len(delta.encode(errors="replace"))


def _same_thing(one: Event, other: Event) -> bool:
    varying = ("delta", "timestamp")
    return _delta_size(one) is not None and (
        {key: value for key, value in one.items() if key not in varying}
        == {key: value for key, value in other.items() if key not in varying}
    )


async def batches(
    source: AsyncIterable[Event], *, window: float = 0.04, max_batch: int = MAX_BATCH
) -> AsyncIterator[list[Event]]:
    """Yield lists of what ``source`` yields, in order, never an empty one.

    A list is given out when the consumer asks for it and ``window`` seconds have passed since its first
    event, or it is full, or the source has ended. What the source raises is raised after everything it had
    yielded. Close the generator (``contextlib.aclosing``) to cancel and close the source.
    """
    loop = asyncio.get_running_loop()
    pending: list[Event] = []
    first_at = 0.0
    arrived = asyncio.Event()
    room = asyncio.Event()

    async def pump() -> None:
        nonlocal first_at
        try:
            async for event in source:
                if not pending:
                    first_at = loop.time()
                pending.append(event)
                arrived.set()
                if len(pending) >= max_batch:
                    room.clear()
                    await room.wait()
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()

    pumping = asyncio.create_task(pump())
    pumping.add_done_callback(lambda _: arrived.set())
    try:
        while pending or not pumping.done():
            if pending and (pumping.done() or len(pending) >= max_batch or loop.time() >= first_at + window):
                batch = pending.copy()
                pending.clear()
                room.set()
                yield batch
                continue
            arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(first_at + window if pending else None):
                    await arrived.wait()
        pumping.result()
    finally:
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)

"""Ends what a process left unfinished when it died.

Owns which runs of a stream are open, and the fencing of whoever may still write them. Must not know leases:
the caller knows that nobody does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.reducer.parts import record, string
from webapp.session.reading import stored_events
from webapp.session.streams import AnyStream, DurableStream, opened
from webapp.session.whole_run import INTERRUPTED
from webapp.streams.clients.base import StreamNotFound
from webapp.streams.clients.producer import IdempotentProducer

# Runs are written at epoch 0. Two who end the same run do the same at this one, and it happens once.
_EPOCH = 1


async def interrupt_abandoned_runs(stream: AnyStream, *, clock: Callable[[], float] = time.time) -> list[str]:
    """End every run of the session that has begun and not ended with RUN_ERROR ``interrupted``; their ids.

    For the first request of a session after a start: a process that was killed has left its readers waiting.
    Call it only while no process writes an answer into the stream; one that does is cut off.
    """
    async with opened(stream) as place, AsyncExitStack() as stack:
        try:
            found = await _open_runs(place)
            producers = {
                run_id: await stack.enter_async_context(aclosing(_producer(place, run_id)))
                for run_id in found
            }
            for run_id, producer in producers.items():
                await producer.append([events.encode(events.claimed(run_id, epoch=_EPOCH))])
            # From here on nobody can add to them; what came before is read again.
            left = await _open_runs(place) if found else {}
        except StreamNotFound:
            return []
        ended = [run_id for run_id in left if run_id in producers]
        for run_id in ended:
            code, sentence = INTERRUPTED
            thread_id, parts = left[run_id]
            now_ms = int(clock() * 1000)
            error = events.run_error(thread_id, run_id, code=code, sentence=sentence, timestamp=now_ms)
            await producers[run_id].append([events.encode(event) for event in (*parts.closing(), error)])
        return ended


def _producer(place: DurableStream, run_id: str) -> IdempotentProducer:
    return IdempotentProducer(place.client, place.path, producer_id=f"run:{run_id}", epoch=_EPOCH)


async def _open_runs(place: DurableStream) -> dict[str, tuple[str, events.OpenParts]]:
    """The runs that have begun and not ended: their thread ids, and what they have open."""
    runs: dict[str, tuple[str, events.OpenParts]] = {}
    owners: dict[str, str] = {}
    async for event in stored_events(place):
        run_id = _run_of(event, owners)
        if event.get("type") == events.RUN_STARTED:
            runs[run_id] = (string(event, "threadId"), events.OpenParts())
        elif event.get("type") in events.TERMINAL:
            runs.pop(run_id, None)
        elif run_id in runs:
            runs[run_id][1].feed(event)
    return runs


def _run_of(event: Event, owners: dict[str, str]) -> str:
    run_id = string(event, "runId") or string(record(event.get("metadata")), "runId")
    message_id = string(event, "messageId")
    if run_id and event.get("type") == events.TEXT_MESSAGE_START:
        owners[message_id] = run_id
    return run_id or owners.get(message_id, "")

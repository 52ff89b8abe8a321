"""Ends what a process left unfinished when it died.

Owns the fencing of whoever may still write them. Must not know leases:
the caller knows that nobody does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing

from webapp.chat import events
from webapp.chat.endings import INTERRUPTED
from webapp.session.reading import open_runs
from webapp.session.streams import AnyStream, DurableStream, opened
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
            found = await open_runs(place)
            producers = {
                run_id: await stack.enter_async_context(aclosing(_producer(place, run_id)))
                for run_id in found
            }
            for run_id, producer in producers.items():
                await producer.append([events.encode(events.claimed(run_id, epoch=_EPOCH))])
            # From here on nobody can add to them; what came before is read again.
            left = await open_runs(place) if found else {}
        except StreamNotFound:
            return []
        ended = [run_id for run_id in left if run_id in producers]
        for run_id in ended:
            code, sentence = INTERRUPTED
            run, now_ms = left[run_id], int(clock() * 1000)
            error = events.run_error(run.thread_id, run_id, code=code, sentence=sentence, timestamp=now_ms)
            await producers[run_id].append([events.encode(event) for event in (*run.parts.closing(), error)])
        return ended


def _producer(place: DurableStream, run_id: str) -> IdempotentProducer:
    return IdempotentProducer(place.client, place.path, producer_id=f"run:{run_id}", epoch=_EPOCH)

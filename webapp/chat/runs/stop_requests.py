"""Stops a run that another process has: asks in the run's chat, where its owner hears it.

Owns the request and the wait for what comes of it. Must not know who the owner is or whether it lives: if it
is dead, whoever takes the run over finds the request and ends the run in the same way.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

from webapp.chat import events
from webapp.chat.catalog.run_row import RunRow
from webapp.chat.messages import Participant
from webapp.chat.runs.failpoints import Step, reached
from webapp.chat.runs.trace import Trace
from webapp.chat.sessions import STREAM_IS_GONE, Sessions
from webapp.streams.clients.base import ProducerTuple, StreamClient


class StopRequests:
    """``patience``: so many seconds a request waits for the end that was asked for."""

    def __init__(self, *, streams: StreamClient, sessions: Sessions, patience: float) -> None:
        self._streams = streams
        self._sessions = sessions
        self._patience = patience

    async def make(self, row: RunRow, *, participant: Participant) -> bool:
        """Ask for the end of an unfinished run; returns when that is durable, or patience is at its end.

        Whether the run ends, or will, because ``participant`` wanted it. A run whose end is in the stream
        is left as it is, and so is one that somebody else has asked for. Raises StreamsUnavailable.
        """
        path = self._sessions.path(row.chat_id)
        try:
            trace = await Trace.read(self._streams, path, row)
            if trace.outcome is not None:
                return False
            if trace.wanted_by is None:
                await self._ask(path, row.run_id, participant)
            await self._see_out(trace, path)
        except STREAM_IS_GONE:
            return False
        # Nobody is named yet by a stream that is slow to show our own request.
        by = trace.wanted_by or participant if trace.outcome is None else trace.stopped_by
        return by is not None and by.id == participant.id

    async def _ask(self, path: str, run_id: str, participant: Participant) -> None:
        request = events.stop_requested(run_id, participant_id=participant.id, name=participant.name)
        # One producer per run: however many ask, wherever they do, the stream takes the first.
        producer = ProducerTuple(f"stop:{run_id}", 0, 0)
        await self._streams.append(path, [events.encode(request)], producer=producer)
        reached(Step.STOP_REQUESTED)

    async def _see_out(self, trace: Trace, path: str) -> None:
        """Read on until the run has ended."""
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(self._patience),
                aclosing(self._streams.tail(path, offset=trace.offset)) as pages,
            ):
                async for page in pages:
                    trace.take(page)
                    if trace.outcome is not None:
                        return

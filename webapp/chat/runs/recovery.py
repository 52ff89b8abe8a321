"""Brings a run that lost its owner to its end, or to its beginning.

Owns what follows a claim: which runs may still be started and which are over. Must not know lanes or agents,
nor what comes after the end of a run.

The order is what makes it safe. The claim has changed owner and epoch on the row; an append at the new
epoch then fences the old writer in the stream; only after that is the run read, so nothing can be added to
what was read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from webapp.chat import events
from webapp.chat.catalog.run_row import RunRow, RunStatus
from webapp.chat.catalog.runs import RunInbox
from webapp.chat.endings import INTERRUPTED
from webapp.chat.messages import Participant
from webapp.chat.runs.acceptance import Acceptance
from webapp.chat.runs.failpoints import Step, reached
from webapp.chat.runs.queue import Queue
from webapp.chat.runs.run import Ending
from webapp.chat.runs.trace import Trace
from webapp.chat.runs.writer import RunWriter
from webapp.chat.sessions import STREAM_IS_GONE, Sessions
from webapp.streams.clients.base import StaleEpoch, StreamClient


@dataclass(frozen=True, slots=True)
class Startable:
    """A run that nobody has begun: its row, and the writer it goes on with.

    ``wanted_by`` has asked for its end before it could begin.
    """

    row: RunRow
    writer: RunWriter
    wanted_by: Participant | None = None


class Recovery:
    """Settles claimed rows. ``finish`` is told of a run whose end is in the stream, and how it ended."""

    def __init__(
        self,
        *,
        streams: StreamClient,
        sessions: Sessions,
        inbox: RunInbox,
        acceptance: Acceptance,
        queue: Queue,
        finish: Callable[[RunRow, str], Awaitable[None]],
        writer: Callable[[RunRow], RunWriter],
        clock: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._sessions = sessions
        self._inbox = inbox
        self._acceptance = acceptance
        self._queue = queue
        self._finish = finish
        self._writer = writer
        self._clock = clock

    async def settle(self, row: RunRow) -> Startable | None:
        """What to run, or None if the run is over or somebody else's. ``row`` has just been claimed.

        Raises Unavailable or StreamsUnavailable when the stream cannot be reached: the row waits for the
        next try.
        """
        current: RunRow | None = row
        if row.status is RunStatus.ACCEPTED:
            current = await self._acceptance.publish(row)
        elif await self._queue.catch_up(row):
            current = await self._inbox.get(row.run_id)
        try:
            over = current is None or current.status is RunStatus.DONE
            return None if current is None or over else await self._settle(current)
        except StaleEpoch:
            return None
        except STREAM_IS_GONE:
            await self._inbox.mark_done(row, outcome="lost", now=self._clock())
            return None

    async def _settle(self, row: RunRow) -> Startable | None:
        writer = self._writer(row)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(writer.aclose)
            if row.status is RunStatus.RUNNING:
                await writer.append([events.claimed(row.run_id, epoch=row.epoch)])
                reached(Step.FENCED)
            trace = await Trace.read(self._streams, self._sessions.path(row.chat_id), row)
            if not trace.started:
                waiting = row if row.status is RunStatus.APPENDED else await self._inbox.mark_appended(row)
                if waiting is None:
                    return None
                stack.pop_all()  # the run that is started goes on with it
                return Startable(waiting, writer, trace.wanted_by)
            outcome = trace.outcome
            if outcome is None:
                ending = self._ending(row, trace)
                await writer.append([], ending=ending.told(trace.open))
                reached(Step.SETTLED)
                outcome = ending.outcome
        await self._finish(row, outcome)
        return None

    def _ending(self, row: RunRow, trace: Trace) -> Ending:
        now = int(self._clock() * 1000)
        if trace.wanted_by is not None:
            return Ending.stopped(row, by=trace.wanted_by, timestamp=now)
        code, sentence = INTERRUPTED
        return Ending.failed(row, code=code, sentence=sentence, timestamp=now)

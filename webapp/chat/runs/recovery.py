"""Brings a run that lost its owner to its end, or to its beginning.

Owns what follows a claim: which runs may still be started and which are over. Must not know lanes or agents.

The order is what makes it safe. The claim has changed owner and epoch on the row; an append at the new
epoch then fences the old writer in the stream; only after that is the run read, so nothing can be added to
what was read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.catalog.runs import RunInbox, RunRow, RunStatus
from webapp.chat.runs.acceptance import Acceptance
from webapp.chat.runs.run import INTERRUPTED
from webapp.chat.runs.writer import RunWriter
from webapp.chat.sessions import Sessions
from webapp.streams.clients.base import (
    BEGINNING,
    StaleEpoch,
    StreamClient,
    StreamClosed,
    StreamConflict,
    StreamGone,
    StreamNotFound,
)

STREAM_IS_GONE = (StreamNotFound, StreamGone, StreamClosed, StreamConflict)
"""Nothing can ever be appended there again: a run in it is over without a word."""


@dataclass(frozen=True, slots=True)
class Startable:
    """A run that nobody has begun: its row, and the writer it goes on with."""

    row: RunRow
    writer: RunWriter


class Recovery:
    """Settles claimed rows."""

    def __init__(
        self,
        *,
        streams: StreamClient,
        sessions: Sessions,
        inbox: RunInbox,
        acceptance: Acceptance,
        clock: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._sessions = sessions
        self._inbox = inbox
        self._acceptance = acceptance
        self._clock = clock

    async def settle(self, row: RunRow) -> Startable | None:
        """What to run, or None if the run is over or somebody else's. ``row`` has just been claimed.

        Raises Unavailable or StreamsUnavailable when the stream cannot be reached: the row waits for the
        next try.
        """
        if row.status is RunStatus.ACCEPTED:
            appended = await self._acceptance.publish(row)
            return None if appended is None else Startable(appended, self.writer(appended))
        if row.status is RunStatus.APPENDED:
            return Startable(row, self.writer(row))
        try:
            return await self._settle_begun(row)
        except StaleEpoch:
            return None
        except STREAM_IS_GONE:
            await self._inbox.mark_done(row, outcome="lost", now=self._clock())
            return None

    def writer(self, row: RunRow) -> RunWriter:
        """The producer of ``row`` at its epoch."""
        path = self._sessions.path(row.chat_id)
        return RunWriter(self._streams, path, run_id=row.run_id, epoch=row.epoch)

    async def _settle_begun(self, row: RunRow) -> Startable | None:
        writer = self.writer(row)
        await writer.append([events.claimed(row.run_id, epoch=row.epoch)])
        trace = await self._read(row)
        if not trace.started:
            return Startable(row, writer)
        outcome = trace.outcome
        if outcome is None:
            code, sentence = INTERRUPTED
            now = int(self._clock() * 1000)
            error = events.run_error(row.chat_id, row.run_id, code=code, sentence=sentence, timestamp=now)
            await writer.append([], ending=[*trace.open.closing(), error])
            outcome = code
        await self._inbox.mark_done(row, outcome=outcome, now=self._clock())
        return None

    async def _read(self, row: RunRow) -> _Trace:
        trace = _Trace(row.run_id)
        path, offset = self._sessions.path(row.chat_id), row.offset or BEGINNING
        while True:
            page = await self._streams.read(path, offset=offset)
            for message in page.messages:
                trace.feed(events.decode(message))
            if page.up_to_date:
                return trace
            offset = page.next_offset


@dataclass(slots=True)
class _Trace:
    """What one run left in its stream."""

    run_id: str
    started: bool = False
    outcome: str | None = None
    open: events.OpenParts = field(default_factory=events.OpenParts)
    messages: set[object] = field(default_factory=set)

    def feed(self, event: Event) -> None:
        metadata = event.get("metadata")
        claimed = metadata.get("runId") if isinstance(metadata, dict) else None
        if self.run_id not in (event.get("runId"), claimed) and event.get("messageId") not in self.messages:
            return
        kind = event.get("type")
        if kind == events.RUN_STARTED:
            self.started = True
        elif kind in events.TERMINAL:
            self.outcome = _outcome(event)
        elif kind == events.TEXT_MESSAGE_START:
            self.messages.add(event.get("messageId"))
        self.open.feed(event)


def _outcome(terminal: Event) -> str:
    if terminal["type"] == events.RUN_ERROR:
        return str(terminal.get("code", "agent-failed"))
    outcome = terminal.get("outcome")
    return str(outcome.get("type")) if isinstance(outcome, dict) else "success"

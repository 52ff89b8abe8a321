"""What one run has left in its chat: whether it began, how it ended, and who wants it stopped.

Owns reading it. Must not know leases or queues, nor what is done about it. The stream is read from the offset
of the run's row, before which there is nothing of the run and nothing about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.catalog.run_row import RunRow
from webapp.chat.following import RunFilter
from webapp.chat.messages import Participant
from webapp.streams.clients.base import (
    BEGINNING,
    ReadPage,
    StreamClient,
)


@dataclass(slots=True)
class Trace:
    """One run in its stream, up to ``offset``. ``wanted_by`` is the first who asked for its end."""

    run_id: str
    offset: str
    started: bool = False
    outcome: str | None = None
    wanted_by: Participant | None = None
    stopped_by: Participant | None = None
    open: events.OpenParts = field(default_factory=events.OpenParts)
    _own: RunFilter = field(init=False)

    def __post_init__(self) -> None:
        self._own = RunFilter(self.run_id)

    @classmethod
    async def read(cls, streams: StreamClient, path: str, row: RunRow) -> Trace:
        """Everything there is now. Raises StreamErrors."""
        trace = cls(row.run_id, start_of(row))
        while True:
            page = await streams.read(path, offset=trace.offset)
            trace.take(page)
            if page.up_to_date:
                return trace

    def take(self, page: ReadPage) -> None:
        """Read on: ``page`` begins where the last one ended."""
        for message in page.messages:
            self._feed(events.decode(message))
        self.offset = page.next_offset

    def _feed(self, event: Event) -> None:
        kind = event.get("type")
        if kind == events.CUSTOM:
            self.wanted_by = self.wanted_by or person(event, events.STOP_REQUESTED, run_id=self.run_id)
            self.stopped_by = self.stopped_by or person(event, events.STOPPED_BY, run_id=self.run_id)
        if not self._own.admits(event):
            return
        if kind == events.RUN_STARTED:
            self.started = True
        elif kind in events.TERMINAL:
            self.outcome = _outcome(event)
        self.open.feed(event)


def start_of(row: RunRow) -> str:
    """Where to begin to read about a run."""
    return row.offset or BEGINNING


def person(event: Event, name: str, *, run_id: str) -> Participant | None:
    """Whom the signal ``name`` about a run names; None if ``event`` is not that."""
    match event:
        case {
            "name": str(given),
            "value": {"runId": str(run), "participantId": str(who), "name": str(called)},
        }:
            return Participant(who, called) if (given, run) == (name, run_id) else None
    return None


def _outcome(terminal: Event) -> str:
    if terminal["type"] == events.RUN_ERROR:
        return str(terminal.get("code", "agent-failed"))
    outcome = terminal.get("outcome")
    return str(outcome.get("type")) if isinstance(outcome, dict) else "success"

"""Where in which run a reader is: made from what a client says it has seen, checked against the run's row.

Must not know how events are sent, nor who may read them: callers have let the visitor into the chat.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from webapp.chat.catalog.run_row import RunRow
from webapp.chat.errors import ChatNotFound, InvalidMessage
from webapp.chat.following import RunCursor, RunEvent, follow
from webapp.chat.runs.trace import start_of
from webapp.streams.clients.base import BEGINNING
from webapp.web.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlace:
    """Read ``run_id`` on after ``after``."""

    chat_id: str
    run_id: str
    after: RunCursor


async def find_run(services: Services, run_id: str | None, *, chat_id: str = "") -> RunRow:
    """The run, whichever process has it. Raises ChatNotFound, also for a run of another chat."""
    if not run_id:
        raise InvalidMessage("The request does not say which run it means (runId).")
    row = await services.catalog.runs.get(run_id)
    if row is None or chat_id not in ("", row.chat_id):
        raise ChatNotFound
    return row


def place_after(row: RunRow, seen: str) -> RunPlace:
    """After the event with the id ``seen``; ``-1`` is before the first. Raises InvalidMessage."""
    start = start_of(row)
    after = RunCursor(start) if seen == BEGINNING else RunCursor.parse(seen)
    if after.offset != start:
        raise InvalidMessage("That is no id of an event of this run.", code="invalid-offset")
    return RunPlace(chat_id=row.chat_id, run_id=row.run_id, after=after)


def events_from(services: Services, place: RunPlace) -> AsyncGenerator[list[RunEvent], None]:
    """The run's events from there on, as ``follow`` gives them."""
    path = services.sessions.path(place.chat_id)
    return follow(services.streams, path, place.run_id, after=place.after)

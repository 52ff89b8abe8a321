"""Messages that wait for their turn: edited, dropped or put first, by anybody who may write in the chat.

Owns such a change and the telling of it. What is to be told is committed together with the change, on the
rows of the message; from then on no run of it begins before the stream has it (ADR 013). Whoever finds it
untold tells it: the request itself, a run whose turn has come, the recoverer. Must not know HTTP or roles,
nor how a run is performed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.catalog.run_row import RunRow, RunStatus
from webapp.chat.catalog.runs import RunInbox, Turn
from webapp.chat.errors import ChatNotFound, Conflict, Unavailable
from webapp.chat.messages import Participant
from webapp.chat.runs.failpoints import Step, reached
from webapp.chat.runs.lanes import Lanes
from webapp.chat.telling import Telling
from webapp.streams.clients.base import StreamsUnavailable

_TRIES = 3

Stop = Callable[[RunRow, Participant], Awaitable[object]]


class Action(StrEnum):
    EDIT = "edit"
    DROP = "drop"
    STEER = "steer"  # stop what its agents are writing, and answer this next


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What ``participant`` wants of a message that waits. ``text`` is the new one of an edit."""

    chat_id: str
    message_id: str
    participant: Participant
    action: Action
    text: str = ""


class Queue:
    """``stop`` ends a run because a person wants it. ``ids`` names edits."""

    def __init__(
        self,
        *,
        telling: Telling,
        inbox: RunInbox,
        lanes: Lanes,
        stop: Stop,
        clock: Callable[[], float],
        ids: Callable[[], str],
    ) -> None:
        self._telling = telling
        self._inbox = inbox
        self._lanes = lanes
        self._stop = stop
        self._clock = clock
        self._ids = ids

    async def change(self, change: Change) -> None:
        """Durable and told on return.

        Raises Conflict if an agent has begun to answer, or the message is unknown or gone; Unavailable if it
        is not stored yet, or the change is and cannot be told yet.
        """
        rows = await self._commit(change)
        reached(Step.CHANGE_COMMITTED)
        if change.action is Action.STEER:
            await self._put_first(rows, change.participant)
            return
        if not await self.catch_up(rows[0]):
            return  # somebody else has been here
        if change.action is Action.DROP:
            self._lanes.drop(filter(None, (self._lanes.get(row.run_id) for row in rows)))

    async def catch_up(self, row: RunRow) -> bool:
        """Tell what has still to be told of the row's message; whether there was something.

        Raises Unavailable.
        """
        current = await self._inbox.get(row.run_id)
        if current is None or not current.events or not current.is_untold:
            return False
        with suppress(ChatNotFound):  # nobody is left to be told
            # Two may be telling the same: the stream takes one of them.
            for event in current.events:
                await self._telling.tell(current.chat_id, [event], once=_producer_of(event))
        reached(Step.CHANGE_TOLD)
        await self._inbox.mark_told(current, now=self._clock())
        return True

    async def begin(self, row: RunRow) -> bool:
        """Mark the row as running once everything about its message has been told. False if it is no longer
        the caller's. Raises Unavailable.
        """
        while not await self._inbox.mark_running(row, now=self._clock()):
            if not await self._still_waits(row):
                return False
        return True

    async def take_turn(self, row: RunRow) -> Turn:
        """``begin``, if no other run is before this one. Raises Unavailable."""
        while True:
            turn = await self._inbox.take_turn(row, now=self._clock())
            if turn.taken or turn.behind is not None or not await self._still_waits(row):
                return turn

    async def _still_waits(self, row: RunRow) -> bool:
        """Whether the row is the caller's as before, now that everything about its message has been told: by
        this call, or by whoever was quicker.
        """
        await self.catch_up(row)
        current = await self._inbox.get(row.run_id)
        waits = (row.owner, row.epoch, RunStatus.APPENDED)
        return current is not None and (current.owner, current.epoch, current.status) == waits

    async def _commit(self, change: Change) -> list[RunRow]:
        """The rows of the message, changed."""
        for _ in range(_TRIES):
            rows, changed = await self._inbox.change_waiting(
                change.chat_id, change.message_id, lambda rows: self._changes(change, rows)
            )
            if changed:
                return rows
            untold = [row for row in rows if row.is_untold]
            if not untold:
                raise _refusal(rows)
            await self.catch_up(untold[0])
        raise Unavailable("The message is being changed by somebody else. Please try again.")

    def _changes(self, change: Change, rows: Sequence[RunRow]) -> dict[str, object]:
        about = {
            "message_id": change.message_id,
            "participant_id": change.participant.id,
            "name": change.participant.name,
        }
        match change.action:
            case Action.EDIT:
                return {"events": [events.edited(text=change.text, edit_id=self._ids(), **about)]}
            case Action.DROP:
                told = events.dropped(run_ids=[row.run_id for row in rows], **about)
                return {"events": [told], "status": RunStatus.DROPPED}
            case Action.STEER:
                return {"steered": 1}

    async def _put_first(self, rows: list[RunRow], participant: Participant) -> None:
        for row in rows:
            run = self._lanes.get(row.run_id)
            if run is not None:
                run.row = replace(run.row, steered=True)
                self._lanes.promote(run)
        agents = {row.agent_id for row in rows}
        for other in await self._inbox.unfinished(chat_id=rows[0].chat_id):
            if other.status is RunStatus.RUNNING and other.agent_id in agents:
                with suppress(StreamsUnavailable):  # it is the next one all the same
                    await self._stop(other, participant)


def _producer_of(event: Event) -> str:
    """The same for the same change, however often it is told, and for no other."""
    value = event["value"]
    return f"edit:{value['editId']}" if "editId" in value else f"drop:{value['messageId']}"


def _refusal(rows: list[RunRow]) -> Conflict | Unavailable:
    if not rows:
        return Conflict("There is no such message waiting.", code="not-waiting")
    if all(row.is_dropped for row in rows):
        return Conflict("The message has been taken back already.", code="message-dropped")
    if any(row.status is RunStatus.ACCEPTED for row in rows):
        return Unavailable("The message is still being stored. Please try again.")
    return Conflict("The answer to this message has already been started.", code="already-started")

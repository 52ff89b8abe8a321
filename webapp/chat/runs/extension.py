"""Accepts that an answer which broke off goes on, once.

What goes on is a run of its own: another attempt at the same message, which continues the one that was
stopped, failed or was interrupted. Must not know agents or run them. The row alone is the acceptance.
"""

from __future__ import annotations

from dataclasses import dataclass

from webapp.chat.catalog.run_row import RunRow
from webapp.chat.errors import Conflict
from webapp.chat.messages import Participant
from webapp.chat.runs.desk import Desk
from webapp.chat.runs.sequel import sequel

_BROKEN_OFF = frozenset({"stopped", "interrupted", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """One wish that the run ``run_id`` goes on."""

    chat_id: str
    run_id: str
    participant: Participant


class Extensions:
    """Turns wishes into rows of the inbox."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def accept(self, request: Extension) -> tuple[RunRow, bool]:
        """The run that goes on, and whether somebody had wished it before.

        Durable on return. Raises Conflict if the run has not broken off or something newer has taken its
        place, LimitReached and Unavailable.
        """
        return await self._desk.settle_races(lambda: self._accept(request))

    async def _accept(self, request: Extension) -> tuple[RunRow, bool]:
        current = await self._desk.sessions.snapshot(request.chat_id)
        run = current.snapshot.runs.get(request.run_id, {})
        asked = next((each for each in current.snapshot.messages if each["id"] == run.get("triggerId")), None)
        if asked is None or run["status"] not in _BROKEN_OFF or not run["messageIds"]:
            raise Conflict("There is nothing to go on with.", code="nothing-to-continue")
        attempts = await self._desk.inbox.attempts(request.chat_id, asked["id"])
        earlier = next((row for row in attempts if row.continues == request.run_id), None)
        if earlier is not None:
            return earlier, True
        if "supersededBy" in run:
            raise Conflict("That has been answered again since.", code="nothing-to-continue")
        await self._desk.check_load(request.participant, request.chat_id)
        row = sequel(
            self._desk,
            asked,
            chat_id=request.chat_id,
            continues=request.run_id,
            agent_id=run.get("agentId", ""),
            participant_id=request.participant.id,
            attempts=attempts,
            offset=current.offset,
        )
        await self._desk.inbox.add(row)
        return row, False

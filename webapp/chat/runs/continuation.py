"""Accepts the answers a paused run waits for, once.

What answers a run is a run of its own: another attempt at the same message, whose parent is the one that
paused. Owns what counts as the same answer and who may give it. Must not know agents or run them. The row
alone is the acceptance: there is nothing to append, since the run that it starts tells the results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from webapp.chat.catalog.runs import RunRow, RunStatus
from webapp.chat.errors import Conflict, Forbidden, TooLarge
from webapp.chat.messages import MAX_MESSAGE_BYTES, Participant
from webapp.chat.runs.acceptance import hash_of
from webapp.chat.runs.desk import Desk
from webapp.chat.runs.pauses import Answer, Pause, find_pause, nothing_waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """One POST with answers. ``parent_run_id`` is the run that asked, if the client says so. ``may_approve``:
    the participant's word counts for more than their own tools.
    """

    chat_id: str
    participant: Participant
    answers: tuple[Answer, ...]
    may_approve: bool
    run_id: str | None
    data: Mapping[str, Any]
    tools: tuple[dict[str, Any], ...]
    parent_run_id: str | None


class Continuation:
    """Turns answers into rows of the inbox."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def accept(self, request: Resumption) -> tuple[RunRow, bool]:
        """The run that goes on with the answers, and whether an earlier request had made it.

        Durable on return. Raises Conflict if nothing waits for them or something else has answered,
        InvalidMessage, Forbidden, TooLarge, LimitReached and Unavailable.
        """
        return await self._desk.settle_races(lambda: self._accept(request))

    async def _accept(self, request: Resumption) -> tuple[RunRow, bool]:
        current = await self._desk.sessions.snapshot(request.chat_id)
        pause = find_pause(current.snapshot, request.answers, run_id=request.parent_run_id)
        answers = pause.match(request.answers)
        if len(msgspec.json.encode(answers)) > MAX_MESSAGE_BYTES:
            raise TooLarge(f"The results are larger than {MAX_MESSAGE_BYTES // 1024} KiB.")
        attempts = await self._desk.inbox.attempts(
            request.chat_id, pause.trigger["id"], or_run_id=request.run_id
        )
        earlier = _same_request(attempts, request, pause)
        if earlier is not None:
            return earlier, True
        if pause.over:
            raise nothing_waits()
        _check_right(attempts, request, pause)
        await self._desk.check_load(request.participant, request.chat_id)
        now = self._desk.clock()
        row = RunRow(
            run_id=request.run_id or self._desk.ids(),
            chat_id=request.chat_id,
            message_id=pause.trigger["id"],
            agent_id=pause.agent_id,
            attempt=1 + sum(row.agent_id == pause.agent_id for row in attempts),
            participant_id=request.participant.id,
            content_hash=hash_of(pause.trigger) or b"",
            events=None,
            data=request.data,
            tools=request.tools,
            resume=answers,
            parent_run_id=pause.run_id,
            continues=pause.run_id,
            status=RunStatus.APPENDED,
            owner=self._desk.owner,
            lease_until=now + self._desk.limits.lease,
            accepted_at=now,
            offset=current.offset,
        )
        await self._desk.inbox.add(row)
        return row, False


def _same_request(attempts: list[RunRow], request: Resumption, pause: Pause) -> RunRow | None:
    """The row of an earlier request that said the same. Raises Conflict if one has said something else."""
    answered = next((row for row in attempts if row.resume and row.continues == pause.run_id), None)
    if answered is not None and request.run_id in (None, answered.run_id):
        return answered
    if any(row.run_id == request.run_id for row in attempts):
        raise Conflict("That run id was used for something else.", code="run-id-used")
    if answered is not None:
        raise Conflict("That has been answered already.", code="already-answered")
    return None


def _check_right(attempts: list[RunRow], request: Resumption, pause: Pause) -> None:
    if pause.wants_approval:
        if not request.may_approve:
            raise Forbidden("You are not allowed to decide approvals in this chat.")
        return
    paused = next((row for row in attempts if row.run_id == pause.run_id), None)
    # In a fork the row is in the chat it comes from.
    if paused is not None and paused.participant_id != request.participant.id:
        raise Forbidden("Only who asked can answer with a tool of theirs.", code="not-yours")

"""Accepts the answers a paused run waits for, each question's first.

Answers may come one by one, from several people and tabs. With the last one comes, in the same transaction,
the run that goes on: another attempt at the same message, which continues the one that paused. Owns what
counts as the same answer and who may give it. Must not know agents or run them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from webapp.chat.catalog.answers import AnswerRow
from webapp.chat.catalog.run_row import RunRow
from webapp.chat.errors import Conflict, Forbidden, TooLarge
from webapp.chat.messages import MAX_MESSAGE_BYTES, Participant
from webapp.chat.runs.decisions import Decisions, decided
from webapp.chat.runs.desk import Desk
from webapp.chat.runs.pauses import Answer, Decision, Pause, Question, find_pause, nothing_waits
from webapp.chat.runs.sequel import sequel


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
    """Turns answers into rows, and the last of a run's into a row of the inbox."""

    def __init__(self, desk: Desk, decisions: Decisions) -> None:
        self._desk = desk
        self._decisions = decisions

    async def accept(self, request: Resumption) -> tuple[RunRow, bool]:
        """The run that goes on with the answers, or as long as it waits for others the one that asked; and
        whether an earlier request had said the same.

        Durable on return. Raises Conflict if nothing waits for them or somebody has answered otherwise,
        InvalidMessage, Forbidden, TooLarge, LimitReached and Unavailable.
        """
        return await self._desk.settle_races(lambda: self._accept(request))

    async def _accept(self, request: Resumption) -> tuple[RunRow, bool]:
        current = await self._desk.sessions.snapshot(request.chat_id)
        pause = find_pause(current.snapshot, request.answers, run_id=request.parent_run_id)
        answers = pause.match(request.answers)
        if len(msgspec.json.encode([answer for _, answer in answers])) > MAX_MESSAGE_BYTES:
            raise TooLarge(f"The results are larger than {MAX_MESSAGE_BYTES // 1024} KiB.")
        paused = await self._desk.inbox.get(pause.run_id)
        attempts = await self._desk.inbox.attempts(
            request.chat_id, pause.trigger["id"], or_run_id=request.run_id
        )
        going_on = next((row for row in attempts if row.resume and row.continues == pause.run_id), None)
        used = next((row for row in attempts if row.run_id == request.run_id), None)
        if used is not None and used is not going_on:
            raise Conflict("That run id was used for something else.", code="run-id-used")
        given = await self._desk.answers.of_run(request.chat_id, pause.run_id)
        fresh = _fresh(answers, given, request)
        if not fresh:
            for earlier in given:
                await self._decisions.tell(earlier)
            return going_on or _waiting(paused), True
        if pause.over or paused is None:
            raise nothing_waits()
        _check_right(fresh, request, paused)
        await self._desk.check_load(request.participant, request.chat_id)
        now = self._desk.clock()

        def go_on(found: Sequence[AnswerRow]) -> RunRow | None:
            by_question = {row.question: row.answer for row in found}
            if any(question.key not in by_question for question in pause.questions):
                return None
            return sequel(
                self._desk,
                pause.trigger,
                chat_id=request.chat_id,
                continues=pause.run_id,
                agent_id=pause.agent_id,
                # Whoever decides, it is the answer to the one who asked, whose client has the tools.
                participant_id=paused.participant_id,
                attempts=attempts,
                offset=current.offset,
                run_id=request.run_id,
                data=request.data or paused.data,
                tools=request.tools or paused.tools,
                resume=tuple(by_question[question.key]["resume"] for question in pause.questions),
            )

        rows = [_row(question, answer, pause, request, now=now) for question, answer in fresh]
        row = await self._desk.answers.add(rows, go_on=go_on)
        for each in rows:
            await self._decisions.tell(each)
        return row or _waiting(paused), False


def _row(question: Question, answer: Answer, pause: Pause, request: Resumption, *, now: float) -> AnswerRow:
    read = question.read(answer)
    told = decided(question, read, run_id=pause.run_id, by=request.participant, at=now)
    return AnswerRow(
        chat_id=request.chat_id,
        question=question.key,
        run_id=pause.run_id,
        participant_id=request.participant.id,
        answer={"resume": read, "runId": request.run_id, "name": request.participant.name},
        events=tuple(told) or None,
        answered_at=now,
    )


def _fresh(
    answers: Sequence[tuple[Question, Answer]], given: Sequence[AnswerRow], request: Resumption
) -> list[tuple[Question, Answer]]:
    """Those that answer what was open. Raises Conflict if one says something else than an earlier one."""
    by_question = {row.question: row for row in given}
    fresh = []
    for question, answer in answers:
        earlier = by_question.get(question.key)
        if earlier is None:
            fresh.append((question, answer))
        elif earlier.participant_id != request.participant.id or not _says_the_same(
            question, answer, earlier, request
        ):
            raise Conflict(_who_answered(question, earlier), code="already-answered")
    return fresh


def _says_the_same(question: Question, answer: Answer, earlier: AnswerRow, request: Resumption) -> bool:
    # Who names another run wants another run.
    if request.run_id not in (None, earlier.answer["runId"]):
        return False
    # A tab that is loaded again runs its tool again, with another result, for the same run.
    if question.is_client_tool and request.run_id is not None:
        return True
    before = earlier.answer["resume"]
    one, other = Decision.of(answer), Decision.of(before)
    if question.is_client_tool or one is None or other is None:
        return (answer["status"], answer.get("payload")) == (before["status"], before["payload"])
    return (one.approved, one.edited, one.reason) == (other.approved, other.edited, other.reason)


def _who_answered(question: Question, earlier: AnswerRow) -> str:
    name = earlier.answer["name"]
    decision = None if question.is_client_tool else Decision.of(earlier.answer["resume"])
    if decision is None:
        return f"{name} has answered that already."
    return f"{name} has {'approved' if decision.approved else 'denied'} that already."


def _check_right(fresh: Sequence[tuple[Question, Answer]], request: Resumption, paused: RunRow) -> None:
    for question, _ in fresh:
        if not question.is_client_tool and not request.may_approve:
            raise Forbidden("You are not allowed to decide approvals in this chat.")
        if question.is_client_tool and paused.participant_id != request.participant.id:
            raise Forbidden("Only who asked can answer with a tool of theirs.", code="not-yours")


def _waiting(paused: RunRow | None) -> RunRow:
    if paused is None:
        raise nothing_waits()
    return paused

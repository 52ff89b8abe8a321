"""Tells the chat who has decided what.

Owns the event, and that it is in the stream once for each committed answer, whatever died in between: the
append carries the same producer tuple each time. Must not know who may decide or what comes of it.
"""

from __future__ import annotations

from contextlib import suppress

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.catalog.answers import AnswerRow, Answers
from webapp.chat.errors import ChatNotFound
from webapp.chat.messages import Participant
from webapp.chat.runs.pauses import Answer, Decision, Question, arguments_hash
from webapp.chat.telling import Telling


def decided(question: Question, answer: Answer, *, run_id: str, by: Participant, at: float) -> list[Event]:
    """What an answer tells at once. The result of a client's tool is told by the run that goes on."""
    if question.is_client_tool:
        return []
    decision = Decision.of(answer) or Decision(approved=True)
    edited = decision.edited
    if edited is not None and arguments_hash(edited) == question.arguments_hash:
        edited = None  # looked at in the editor, and left
    return [
        events.approval_decided(
            question.interrupt,
            run_id=run_id,
            approved=decision.approved,
            participant_id=by.id,
            name=by.name,
            decided_at=int(at * 1000),
            edited=edited,
            reason=decision.reason,
        )
    ]


class Decisions:
    """Brings committed answers into their streams."""

    def __init__(self, *, telling: Telling, answers: Answers) -> None:
        self._telling = telling
        self._answers = answers

    async def tell(self, row: AnswerRow) -> None:
        """Append what the answer has still to tell. Raises Unavailable; then it is told later."""
        if row.events is None:
            return
        with suppress(ChatNotFound):  # there is nobody left to tell
            await self._telling.tell(row.chat_id, row.events, once=f"decision:{row.question}")
        await self._answers.mark_told(row)

    async def tell_all(self) -> None:
        """Whatever a crash has left untold. Raises Unavailable."""
        for row in await self._answers.untold():
            await self.tell(row)

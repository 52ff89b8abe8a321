"""Tells the chat who has decided what.

Owns the event, and that it is in the stream once for each committed answer, whatever died in between: the
append carries the same producer tuple each time. Must not know who may decide or what comes of it.
"""

from __future__ import annotations

from contextlib import aclosing

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.catalog.answers import AnswerRow, Answers
from webapp.chat.messages import Participant
from webapp.chat.runs.desk import unavailable
from webapp.chat.runs.pauses import Answer, Decision, Question, arguments_hash
from webapp.chat.runs.trace import STREAM_IS_GONE
from webapp.chat.sessions import Sessions
from webapp.streams.clients.base import StreamClient, StreamsUnavailable
from webapp.streams.clients.producer import IdempotentProducer
from webapp.streams.clients.retry import Retry

# A person is waiting, as for a message.
_RETRY = Retry(attempts=3, base=0.05, cap=0.5)


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

    def __init__(self, *, streams: StreamClient, sessions: Sessions, answers: Answers) -> None:
        self._streams = streams
        self._sessions = sessions
        self._answers = answers

    async def tell(self, row: AnswerRow) -> None:
        """Append what the answer has still to tell. Raises Unavailable; then it is told later."""
        if row.events is None:
            return
        producer = IdempotentProducer(
            self._streams,
            self._sessions.path(row.chat_id),
            producer_id=f"decision:{row.question}",
            retry=_RETRY,
        )
        try:
            async with aclosing(producer):
                await producer.append([events.encode(event) for event in row.events])
        except StreamsUnavailable as refusal:
            raise unavailable(refusal) from refusal
        except STREAM_IS_GONE:
            pass  # there is nobody left to tell
        await self._answers.mark_told(row)

    async def tell_all(self) -> None:
        """Whatever a crash has left untold. Raises Unavailable."""
        for row in await self._answers.untold():
            await self.tell(row)

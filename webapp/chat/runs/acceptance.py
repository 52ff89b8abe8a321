"""Accepts a message once, for every agent that it addresses.

Owns what counts as the same request, a new attempt or a conflict, and the two steps that make a message
exist: the committed rows, then the append. Must not know agents or run them.

Rows that were committed and not appended are finished by whoever comes next: the same request sent again, or
the recoverer. The append carries the same producer tuple each time, so the message is in the stream once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from webapp.agents.base import Event, UIMessage, text_of
from webapp.chat import events
from webapp.chat.branches import place
from webapp.chat.catalog.choices import in_effect
from webapp.chat.catalog.run_row import RunRow, RunStatus
from webapp.chat.catalog.schema import RUN_ID_LENGTH
from webapp.chat.catalog.turns import HANDED_ON
from webapp.chat.echo import message_echo
from webapp.chat.errors import ChatNotFound, Conflict, InvalidMessage, TooLarge
from webapp.chat.messages import NewMessage, Participant
from webapp.chat.reducer.snapshot import Snapshot
from webapp.chat.runs.desk import Desk, unavailable
from webapp.chat.runs.failpoints import Step, reached
from webapp.chat.sessions import ChatSnapshot
from webapp.streams.clients.base import (
    BEGINNING,
    PayloadTooLarge,
    StreamClient,
    StreamClosed,
    StreamGone,
    StreamNotFound,
    StreamsUnavailable,
)
from webapp.streams.clients.producer import IdempotentProducer
from webapp.streams.clients.retry import Retry

# A person is waiting, and the row's lease is running: a few tries, then they are told when to come back.
_RETRY = Retry(attempts=3, base=0.05, cap=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST. ``agent_id``: for that agent, whomever the text addresses. ``run_id`` is the client's, if it
    sent one, for the first agent; ``data`` and ``tools`` go to all of them.
    """

    chat_id: str
    participant: Participant
    message: NewMessage
    agent_id: str | None
    run_id: str | None
    data: Mapping[str, Any]
    tools: tuple[dict[str, Any], ...]
    parent_run_id: str | None


class Acceptance:
    """Turns requests into rows of the inbox and messages in the stream. ``addressed`` gives the ids of the
    agents that answer a person's message.
    """

    def __init__(
        self,
        *,
        streams: StreamClient,
        desk: Desk,
        addressed: Callable[[str, Snapshot], Sequence[str]],
    ) -> None:
        self._streams = streams
        self._desk = desk
        self._addressed = addressed

    async def accept(self, request: Request) -> tuple[list[RunRow], bool]:
        """The attempts that answer the request, one per agent, and whether an earlier request had made them.

        Durable on return, rows and message. Calls for one chat must not overlap within a process; between
        processes the first committed transaction decides. Raises InvalidMessage, Conflict, LimitReached,
        TooLarge, ChatNotFound and Unavailable.
        """
        return await self._desk.settle_races(lambda: self._accept(request))

    async def publish(self, row: RunRow, *, again: bool = True) -> RunRow | None:
        """Append an accepted row's message; the row as it is then, or None if somebody else has it by now.

        ``again``: it may have been appended before. Raises Unavailable and keeps the row, or TooLarge or
        ChatNotFound and takes the acceptance back.
        """
        messages = [events.encode(event) for event in row.events or ()]
        path = self._desk.sessions.path(row.chat_id)
        producer = IdempotentProducer(self._streams, path, producer_id=f"msg:{row.message_id}", retry=_RETRY)
        try:
            if again and await self._is_told(row):
                return await self._desk.inbox.mark_appended(row)
            async with aclosing(producer):
                await producer.append(messages)
                reached(Step.MESSAGE_APPENDED)
        except StreamsUnavailable as refusal:
            raise unavailable(refusal) from refusal
        except PayloadTooLarge as refusal:
            await self._desk.inbox.discard(row)
            raise TooLarge("The message is too large.") from refusal
        except (StreamNotFound, StreamGone, StreamClosed) as refusal:
            await self._desk.inbox.discard(row)
            raise ChatNotFound from refusal
        appended = await self._desk.inbox.mark_appended(row)
        reached(Step.MARKED_APPENDED)
        return appended

    async def _accept(self, request: Request) -> tuple[list[RunRow], bool]:
        rows = await self._attempts(request)
        earlier = self._same_request(rows, request)
        if earlier:
            return await self._completed(earlier), True
        new = await self._new_rows(request, rows)
        await self._desk.check_load(request.participant, request.chat_id, runs=len(new))
        await self._desk.inbox.add_all(new, seen=len(_at_message(rows, request)))
        reached(Step.ROW_COMMITTED)
        await self._look_at_newest(new)
        return await self._completed(new, again=False), False

    async def _attempts(self, request: Request) -> list[RunRow]:
        """Earlier attempts at this message, if the request contradicts none of them."""
        rows = await self._desk.inbox.attempts(request.chat_id, request.message.id, or_run_id=request.run_id)
        if any(row.run_id == request.run_id and not _same_errand(row, request) for row in rows):
            raise Conflict("That run id was used for another message.", code="run-id-used")
        said, at_message = _hash_in(request), _at_message(rows, request)
        # An edit keeps the hash of what was sent: whoever has not heard of it sends that again.
        if at_message and all(row.content_hash != said for row in at_message):
            current = await self._desk.sessions.snapshot(request.chat_id)
            known = _find(current.snapshot.messages, request.message.id)
            if known is None or hash_of(known) != said:
                raise _other_content()
        return rows

    def _same_request(self, attempts: Sequence[RunRow], request: Request) -> list[RunRow]:
        """The attempts that this request repeats, which were made together; none if it asks for new ones."""
        mine = [row for row in attempts if request.agent_id in (None, row.agent_id)]
        if not mine:
            return []
        latest = _made_with(mine[-1], mine)
        if latest[0].is_dropped:
            if request.run_id in (None, latest[0].run_id):
                return latest
            raise Conflict("The message has been taken back.", code="message-dropped")
        # Nobody has seen a message that is not appended yet: whoever sends it again means that one.
        if any(row.status is RunStatus.ACCEPTED for row in latest):
            return latest
        if request.run_id is not None:
            named = next((row for row in mine if row.run_id == request.run_id), None)
            return _made_with(named, mine) if named else []
        until = self._desk.clock() - self._desk.limits.duplicate_window
        recent = any(row.ended_at is None or row.ended_at > until for row in latest)
        return latest if recent else []

    async def _new_rows(self, request: Request, attempts: Sequence[RunRow]) -> list[RunRow]:
        message, now, said = request.message, self._desk.clock(), _hash_in(request)
        current = await self._desk.sessions.snapshot(request.chat_id)
        earlier = _at_message(attempts, request)
        # The stream may know the message although the inbox does not: in a fork, for one.
        known = _find(current.snapshot.messages, message.id)
        if message.by_agent and not _is_of_another(known, request.agent_id):
            raise InvalidMessage("That message is nothing this agent could answer.")
        if known is not None and not earlier and (hash_of(known) or HANDED_ON) != said:
            raise _other_content()
        echo = None if known else await self._echo(request, current, now=now)
        first = request.run_id or self._desk.ids()
        if request.agent_id is None:
            agents = self._addressed(message.text, current.snapshot)
        else:
            agents = [request.agent_id]
        # What an agent handed on stays so at the next attempt.
        parent = next((row.parent_run_id for row in earlier if message.by_agent), request.parent_run_id)
        return [
            RunRow(
                run_id=self._run_id(first, agent_id) if number else first,
                chat_id=request.chat_id,
                message_id=message.id,
                agent_id=agent_id,
                attempt=1 + sum(row.agent_id == agent_id for row in earlier),
                participant_id=request.participant.id,
                content_hash=earlier[0].content_hash if earlier else said,
                events=echo,
                data=request.data,
                tools=request.tools,
                parent_run_id=parent,
                status=RunStatus.APPENDED if known else RunStatus.ACCEPTED,
                owner=self._desk.owner,
                lease_until=now + self._desk.limits.lease,
                accepted_at=now,
                offset=current.offset,
            )
            for number, agent_id in enumerate(agents)
        ]

    async def _echo(self, request: Request, current: ChatSnapshot, *, now: float) -> tuple[Event, ...]:
        """The message as it will be in the stream, where its sender is in the conversation."""
        looked_at = await self._desk.choices.of(request.chat_id, request.participant.id)
        choices = in_effect(looked_at, current.snapshot.pins)
        echo = message_echo(
            request.message,
            name=request.participant.name,
            participant_id=request.participant.id,
            created_at_ms=int(now * 1000),
            shown=request.participant.shown,
            placed=place(request.message.metadata, current.branches, choices),
        )
        return tuple(echo)

    async def _look_at_newest(self, rows: Sequence[RunRow]) -> None:
        """Who makes another version of something looks at that one, whatever they chose before."""
        first = rows[0]
        if first.events is None:
            groups = [f"{row.message_id}/{row.agent_id}" for row in rows]
        else:
            edited = first.events[0]["metadata"].get("editOf")
            groups = [edited] if edited else []
        if groups:
            await self._desk.choices.forget(first.chat_id, first.participant_id, groups)

    def _run_id(self, first: str, agent_id: str) -> str:
        """Of a further run: no client's, which have no ``~``, and told by the first unless that is long."""
        derived = f"{first}~{agent_id}"
        return derived if len(derived) <= RUN_ID_LENGTH else self._desk.ids()

    async def _completed(self, rows: Sequence[RunRow], *, again: bool = True) -> list[RunRow]:
        """The rows, with their message in the stream."""
        completed: list[RunRow] = []
        for row in rows:
            if row.status is RunStatus.ACCEPTED and not completed:
                current = await self._publish(rows, row, again=again)
            elif row.status is RunStatus.ACCEPTED:
                current = await self._desk.inbox.mark_appended(row)
            else:
                current = row
            completed.append(current or row)
        return completed

    async def _publish(self, rows: Sequence[RunRow], row: RunRow, *, again: bool) -> RunRow | None:
        try:
            return await self.publish(row, again=again)
        except (TooLarge, ChatNotFound):
            for each in rows:
                await self._desk.inbox.discard(each)
            raise

    async def _is_told(self, row: RunRow) -> bool:
        """Whether the message is in the stream. Its producer says so too, unless the server forgot it."""
        path, offset = self._desk.sessions.path(row.chat_id), row.offset or BEGINNING
        while True:
            page = await self._streams.read(path, offset=offset)
            if any(events.decode(each).get("messageId") == row.message_id for each in page.messages):
                return True
            if page.up_to_date:
                return False
            offset = page.next_offset


def content_hash(text: str, parts: Sequence[Mapping[str, Any]]) -> bytes:
    """Identifies what a person said, whoever says it and when."""
    said = msgspec.json.encode([text, [dict(part) for part in parts]], order="sorted")
    return hashlib.sha256(said).digest()


def hash_of(message: UIMessage) -> bytes | None:
    """The hash of a message in the stream; None for an agent's, which nobody can send again."""
    if message.get("role") != "user":
        return None
    others = [part for part in message.get("parts", []) if part.get("type") != "text"]
    return content_hash(text_of(message), others)


def _find(messages: Sequence[UIMessage], message_id: str) -> UIMessage | None:
    return next((each for each in messages if each["id"] == message_id), None)


def _is_of_another(message: UIMessage | None, agent_id: str | None) -> bool:
    """Whether it is an agent's message, and not that one's own."""
    if message is None or message.get("role") != "assistant":
        return False
    author = (message.get("metadata") or {}).get("agentId")
    return author not in (None, agent_id)


def _hash_in(request: Request) -> bytes:
    message = request.message
    return HANDED_ON if message.by_agent else content_hash(message.text, message.parts)


def _at_message(rows: Sequence[RunRow], request: Request) -> list[RunRow]:
    return [row for row in rows if (row.chat_id, row.message_id) == (request.chat_id, request.message.id)]


def _made_with(row: RunRow, rows: Sequence[RunRow]) -> list[RunRow]:
    """``row`` and what was accepted together with it: in the same moment, for another agent each."""
    together: list[RunRow] = []
    for each in rows:
        again = any(each.agent_id == other.agent_id for other in together)
        if again or (together and each.accepted_at != together[0].accepted_at):
            if row in together:
                break
            together = []
        together.append(each)
    return together


def _same_errand(row: RunRow, request: Request) -> bool:
    same_message = (row.chat_id, row.message_id) == (request.chat_id, request.message.id)
    return same_message and request.agent_id in (None, row.agent_id)


def _other_content() -> Conflict:
    return Conflict("A message with this id and another content exists.", code="message-id-used")

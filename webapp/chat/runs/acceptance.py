"""Accepts a message once.

Owns what counts as the same request, a new attempt or a conflict, and the two steps that make a message
exist: the committed row, then the append. Must not know agents or run them.

A row that was committed and not appended is finished by whoever comes next: the same request sent again, or
the recoverer. The append carries the same producer tuple each time, so the message is in the stream once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from webapp.agents.base import UIMessage
from webapp.chat import events
from webapp.chat.branches import Branches, place
from webapp.chat.catalog.choices import in_effect
from webapp.chat.catalog.runs import RunRow, RunStatus
from webapp.chat.echo import message_echo
from webapp.chat.errors import ChatNotFound, Conflict, TooLarge
from webapp.chat.messages import NewMessage, Participant
from webapp.chat.runs.desk import Desk, unavailable
from webapp.chat.runs.failpoints import Step, reached
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
    """One POST. ``run_id`` is the client's, if it sent one; ``data`` and ``tools`` go to the agent."""

    chat_id: str
    participant: Participant
    message: NewMessage
    agent_id: str
    run_id: str | None
    data: Mapping[str, Any]
    tools: tuple[dict[str, Any], ...]
    parent_run_id: str | None


class Acceptance:
    """Turns requests into rows of the inbox and messages in the stream."""

    def __init__(
        self,
        *,
        streams: StreamClient,
        desk: Desk,
    ) -> None:
        self._streams = streams
        self._desk = desk

    async def accept(self, request: Request) -> tuple[RunRow, bool]:
        """The attempt that answers the request, and whether an earlier request had made it.

        Durable on return, row and message. Calls for one chat must not overlap within a process; between
        processes the row's uniqueness decides. Raises Conflict, LimitReached, TooLarge, ChatNotFound and
        Unavailable.
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

    async def _accept(self, request: Request) -> tuple[RunRow, bool]:
        attempts = await self._attempts(request)
        earlier = self._same_request(attempts, request.run_id)
        if earlier is not None:
            return await self._completed(earlier), True
        await self._desk.check_load(request.participant, request.chat_id)
        row = await self._new_row(request, attempts)
        await self._desk.inbox.add(row)
        reached(Step.ROW_COMMITTED)
        return await self._completed(row, again=False), False

    async def _attempts(self, request: Request) -> list[RunRow]:
        """Earlier attempts of the agent at this message, if the request contradicts none of them."""
        rows = await self._desk.inbox.attempts(request.chat_id, request.message.id, or_run_id=request.run_id)
        if any(row.run_id == request.run_id and not _same_errand(row, request) for row in rows):
            raise Conflict("That run id was used for another message.", code="run-id-used")
        said = content_hash(request.message.text, request.message.parts)
        # An edit keeps the hash of what was sent: whoever has not heard of it sends that again.
        if rows and all(row.content_hash != said for row in rows):
            current = await self._desk.sessions.snapshot(request.chat_id)
            known = _find(current.snapshot.messages, request.message.id)
            if known is None or hash_of(known) != said:
                raise _other_content()
        return [row for row in rows if row.agent_id == request.agent_id]

    def _same_request(self, attempts: Sequence[RunRow], run_id: str | None) -> RunRow | None:
        """The attempt that this request repeats, or None if it asks for a new one."""
        if not attempts:
            return None
        latest = attempts[-1]
        if latest.is_dropped:
            if run_id in (None, latest.run_id):
                return latest
            raise Conflict("The message has been taken back.", code="message-dropped")
        # Nobody has seen a message that is not appended yet: whoever sends it again means that one.
        if latest.status is RunStatus.ACCEPTED:
            return latest
        if run_id is not None:
            return next((row for row in attempts if row.run_id == run_id), None)
        recent = (
            latest.ended_at is None
            or self._desk.clock() < latest.ended_at + self._desk.limits.duplicate_window
        )
        return latest if recent else None

    async def _new_row(self, request: Request, earlier: Sequence[RunRow]) -> RunRow:
        message, now = request.message, self._desk.clock()
        said = content_hash(message.text, message.parts)
        current = await self._desk.sessions.snapshot(request.chat_id)
        # The stream may know the message although the inbox does not: in a fork, for one.
        known = _find(current.snapshot.messages, message.id)
        if known is not None and not earlier and hash_of(known) != said:
            raise _other_content()
        looked_at = await self._desk.choices.of(request.chat_id, request.participant.id)
        branches = Branches(current.snapshot.messages)
        await self._look_at_newest(request, branches, looked_at)
        echo = message_echo(
            message,
            name=request.participant.name,
            participant_id=request.participant.id,
            created_at_ms=int(now * 1000),
            placed=place(message.metadata, branches, in_effect(looked_at, current.snapshot.pins)),
        )
        return RunRow(
            run_id=request.run_id or self._desk.ids(),
            chat_id=request.chat_id,
            message_id=message.id,
            agent_id=request.agent_id,
            attempt=len(earlier) + 1,
            participant_id=request.participant.id,
            content_hash=earlier[0].content_hash if earlier else said,
            events=None if known else tuple(echo),
            data=request.data,
            tools=request.tools,
            parent_run_id=request.parent_run_id,
            status=RunStatus.APPENDED if known else RunStatus.ACCEPTED,
            owner=self._desk.owner,
            lease_until=now + self._desk.limits.lease,
            accepted_at=now,
            offset=current.offset,
        )

    async def _look_at_newest(self, request: Request, branches: Branches, looked_at: Collection[str]) -> None:
        """Who makes another version of something looks at that one, whatever they chose before."""
        message = request.message
        edited = branches.known(message.metadata.get("editOf"))
        group = branches.placement(edited).group if edited else f"{message.id}/{request.agent_id}"
        if group in looked_at:
            await self._desk.choices.forget(request.chat_id, request.participant.id, [group])

    async def _completed(self, row: RunRow, *, again: bool = True) -> RunRow:
        if row.status is not RunStatus.ACCEPTED:
            return row
        return await self.publish(row, again=again) or row

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
    parts = message.get("parts", [])
    text = "".join(part.get("content", "") for part in parts if part.get("type") == "text")
    return content_hash(text, [part for part in parts if part.get("type") != "text"])


def _find(messages: Sequence[UIMessage], message_id: str) -> UIMessage | None:
    return next((each for each in messages if each["id"] == message_id), None)


def _same_errand(row: RunRow, request: Request) -> bool:
    wanted = (request.chat_id, request.message.id, request.agent_id)
    return (row.chat_id, row.message_id, row.agent_id) == wanted


def _other_content() -> Conflict:
    return Conflict("A message with this id and another content exists.", code="message-id-used")

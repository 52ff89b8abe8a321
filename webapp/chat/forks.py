"""A chat of one's own out of another, from one of its messages on.

Owns where a fork leaves its source, and what is said in it first, so that nothing in it waits for ever: what
was being written there is stopped, what was asked is asked no longer, what waited for its turn was not said.
Must not know who may see the source beyond the events a caller lets through.

Nothing is copied: the new stream reads on in the old one. Only where a place in the source has no name (a
stream server elsewhere may name no places within a page), the last events before it are written again; and
whoever may see a part of the source gets a copy of that part. Nobody sees the chat before all of it is there,
so a fork that was cut off in the middle is simply made once more: each step finds what it had done.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.catalog import Catalog, Chat
from webapp.chat.catalog.snapshots import CachedSnapshot
from webapp.chat.errors import ChatNotFound, Conflict, InvalidMessage, Unavailable
from webapp.chat.following import RunFilter
from webapp.chat.messages import Participant
from webapp.chat.reducer import REDUCER_VERSION
from webapp.chat.reducer.snapshot import RunInfo, Snapshot
from webapp.chat.runs.failpoints import Step, reached
from webapp.chat.sessions import STREAM_IS_GONE, Sessions
from webapp.chat.telling import Telling
from webapp.streams.clients.base import (
    BEGINNING,
    InvalidRequest,
    StreamClient,
    StreamConflict,
    StreamsUnavailable,
)
from webapp.streams.clients.producer import IdempotentProducer
from webapp.streams.clients.retry import Retry

logger = logging.getLogger(__name__)

Sieve = Callable[[Sequence[bytes]], Awaitable[Sequence[bytes]]]
"""Of events of the source, those that may be seen."""

_RETRY = Retry(attempts=3, base=0.05, cap=0.5)
_SUFFIX = " (fork)"
_TITLE = 80
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Place:
    """The ``count``-th event after ``offset``; ``last`` are those events, if they were looked at."""

    offset: str
    count: int = 0
    last: Sequence[bytes] | None = None


class Forks:
    """Makes forks. ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        *,
        streams: StreamClient,
        sessions: Sessions,
        telling: Telling,
        catalog: Catalog,
        clock: Callable[[], float],
    ) -> None:
        self._streams = streams
        self._sessions = sessions
        self._telling = telling
        self._catalog = catalog
        self._clock = clock

    async def after(self, chat_id: str, message_id: str) -> Place:
        """Where the message is complete: its run is over, or goes on with another message. Raises
        InvalidMessage if there is no such message.
        """
        hint = await self._hint(chat_id, message_id)
        place = await self._after(chat_id, message_id, hint)
        if place is None and hint != BEGINNING:
            place = await self._after(chat_id, message_id, BEGINNING)
        if place is None:
            raise _unknown_message()
        return place

    async def end(self, chat_id: str) -> Place:
        """Where the chat ends now."""
        return Place((await self._sessions.snapshot(chat_id)).offset)

    async def stretch(self, chat_id: str, message_id: str | None, *, since: str) -> Place:
        """Where the message is complete, or the chat ends, counted from ``since``, with all events up to
        there. Raises InvalidMessage.
        """
        path, scan = self._sessions.path(chat_id), _Scan(message_id or "")
        found: list[bytes] = []
        offset = since
        while True:
            page = await self._streams.read(path, offset=offset)
            for raw in page.messages:
                if scan.ends_before(events.decode(raw)):
                    return Place(since, len(found), found)
                found.append(raw)
                if scan.over:
                    return Place(since, len(found), found)
            offset = page.next_offset
            if page.up_to_date:
                if message_id is not None and not scan.found:
                    raise _unknown_message()
                return Place(since, len(found), found)

    async def fork(
        self,
        source: Chat,
        fork_id: str,
        *,
        at: Place,
        by: Participant,
        message_id: str | None = None,
        sieve: Sieve | None = None,
    ) -> tuple[Chat, str | None]:
        """The fork, which belongs to ``by``, and its bearer token; None if it had been made before. With a
        ``sieve`` it has only what that leaves of the stretch ``at``.

        Durable on return. Raises Conflict for an id that is taken, InvalidMessage for a place that is none,
        ChatNotFound and Unavailable.
        """
        existing = await self._catalog.get_chat(fork_id)
        if existing is not None:
            return _same(existing, source, by), None
        try:
            if sieve is None:
                await self._begin(source.id, fork_id, at)
            else:
                await self._streams.ensure(self._sessions.path(fork_id))
                await self._write(self._sessions.path(fork_id), await sieve(at.last or ()))
            reached(Step.FORKED)
            title = _title(source.title)
            closing = await self._closing(fork_id, keep=message_id, by=by, same_places=sieve is None)
            told = [*closing, events.chat_renamed(title, participant_id=by.id, name=by.name)]
            await self._telling.tell(fork_id, told, once="fork")
            reached(Step.FORK_CLOSED)
        except StreamsUnavailable as refusal:
            raise Unavailable(
                "The fork could not be stored. Please try again.", retry_after=refusal.retry_after
            ) from refusal
        except STREAM_IS_GONE as refusal:
            raise ChatNotFound from refusal
        chat, created, token = await self._catalog.create_chat(
            fork_id, owner=by, title=title, parent_id=source.id, fork_message_id=message_id
        )
        return (chat, token) if created else (_same(chat, source, by), None)

    # Where

    async def _hint(self, chat_id: str, message_id: str) -> str:
        """A place before the message that is known without reading on."""
        messages = (await self._sessions.snapshot(chat_id)).snapshot.messages
        message = next((each for each in messages if each["id"] == message_id), None)
        run_id = ((message or {}).get("metadata") or {}).get("runId")
        if isinstance(run_id, str):
            rows = [row] if (row := await self._catalog.runs.get(run_id)) else []
        else:
            rows = await self._catalog.runs.attempts(chat_id, message_id)
        return next((row.offset for row in rows if row.chat_id == chat_id and row.offset), BEGINNING)

    async def _after(self, chat_id: str, message_id: str, offset: str) -> Place | None:
        path, scan = self._sessions.path(chat_id), _Scan(message_id)
        while True:
            page = await self._streams.read(path, offset=offset)
            for number, raw in enumerate(page.messages):
                if scan.ends_before(events.decode(raw)):
                    return Place(offset, number, page.messages[:number])
                if scan.over:
                    whole = number + 1 == len(page.messages)
                    if whole:
                        return Place(page.next_offset)
                    return Place(offset, number + 1, page.messages[: number + 1])
            offset = page.next_offset
            if page.up_to_date:
                return Place(offset) if scan.found else None

    # The stream

    async def _begin(self, source: str, fork_id: str, at: Place) -> None:
        path, target = self._sessions.path(source), self._sessions.path(fork_id)
        try:
            try:
                await self._streams.fork(path, target, offset=at.offset, sub_offset=at.count)
            except (InvalidRequest, StreamConflict):
                if at.last is None:
                    raise
                # Beyond the append that the place is counted from, as it may have been the last time.
                await self._streams.fork(path, target, offset=at.offset)
                await self._write(target, at.last)
        except InvalidRequest as refusal:
            raise InvalidMessage("That is no place in this chat.", code="invalid-offset") from refusal
        except StreamConflict as refusal:
            raise _taken() from refusal
        await self._inherit(source, target, at)

    async def _write(self, path: str, messages: Sequence[bytes]) -> None:
        """Append them in pieces, each once however often this is done."""
        producer = IdempotentProducer(self._streams, path, producer_id="fork:copy", retry=_RETRY)
        async with aclosing(producer):
            for start in range(0, len(messages), _CHUNK):
                await producer.append(messages[start : start + _CHUNK])

    async def _inherit(self, source: str, target: str, at: Place) -> None:
        """A fork of the whole chat begins with its fold, which spares reading it all again."""
        whole = await self._sessions.snapshot(source)
        if at.count == 0 and at.offset == whole.offset:
            body = msgspec.json.encode(whole.snapshot.to_json())
            cached = CachedSnapshot(whole.offset, body)
            await self._catalog.snapshots.put(target, cached, reducer_version=REDUCER_VERSION)

    # What is said first

    async def _closing(
        self, fork_id: str, *, keep: str | None, by: Participant, same_places: bool
    ) -> list[Event]:
        """What ends everything that is open in the fork, but the message it was made for. ``same_places``:
        offsets are those of the source.
        """
        snapshot = (await self._sessions.snapshot(fork_id)).snapshot
        told: list[Event] = []
        for run_id in snapshot.active_runs:
            row = await self._catalog.runs.get(run_id) if same_places else None
            told += await self._ending(fork_id, run_id, by=by, start=(row and row.offset) or BEGINNING)
        for info in snapshot.runs.values():
            if info["status"] == "awaiting-approval" and "supersededBy" not in info:
                told += self._instead(fork_id, info, by=by)
        for message_id in _waiting(snapshot):
            if message_id != keep:
                told.append(events.dropped(message_id, run_ids=[], participant_id=by.id, name=by.name))
        return told

    async def _ending(self, fork_id: str, run_id: str, *, by: Participant, start: str) -> list[Event]:
        """The run's last words, as if ``by`` had stopped it."""
        own, left = RunFilter(run_id), events.OpenParts()
        offset, path = start, self._sessions.path(fork_id)
        while True:
            page = await self._streams.read(path, offset=offset)
            for raw in page.messages:
                event = events.decode(raw)
                if own.admits(event):
                    left.feed(event)
            offset = page.next_offset
            if page.up_to_date:
                break
        return [
            events.stopped_by(run_id, participant_id=by.id, name=by.name),
            *left.closing(),
            self._cancelled(fork_id, run_id),
        ]

    def _instead(self, fork_id: str, paused: RunInfo, *, by: Participant) -> list[Event]:
        """A run that takes the place of one that asks, and is stopped: then nothing is asked any longer."""
        run_id = f"{paused['runId']}~fork"
        started = events.run_started(
            fork_id,
            run_id,
            agent_id=str(paused.get("agentId", "")),
            agent_name=str(paused.get("agentName", "")),
            trigger_id=str(paused.get("triggerId", "")),
            attempt=int(paused.get("attempt", 1)) + 1,
            timestamp=self._now(),
        )
        stopped = events.stopped_by(run_id, participant_id=by.id, name=by.name)
        return [started, stopped, self._cancelled(fork_id, run_id)]

    def _cancelled(self, fork_id: str, run_id: str) -> Event:
        return events.run_finished(fork_id, run_id, timestamp=self._now(), outcome=events.cancelled())

    def _now(self) -> int:
        return int(self._clock() * 1000)


class _Scan:
    """Finds out where a message is complete, event by event."""

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id
        self._run_id: str | None = None
        self._answer = False
        self.found = False
        self.over = False
        """Whether the message is complete with the event that was looked at last."""

    def ends_before(self, event: Event) -> bool:
        """Whether the message was complete before ``event``."""
        kind, message_id = event.get("type"), event.get("messageId")
        if kind == events.TEXT_MESSAGE_START and message_id == self._message_id:
            self.found = True
            self._answer = event.get("role") not in ("user", "system")
            run_id = (event.get("metadata") or {}).get("runId")
            self._run_id = run_id if isinstance(run_id, str) else None
        elif self.found and self._answer:
            if kind == events.TEXT_MESSAGE_START:
                metadata = event.get("metadata")
                return isinstance(metadata, dict) and metadata.get("runId") == self._run_id
            self.over = kind in events.TERMINAL and event.get("runId") == self._run_id
        elif self.found:
            self.over = kind == events.TEXT_MESSAGE_END and message_id == self._message_id
        return False


def _waiting(snapshot: Snapshot) -> list[str]:
    """Messages that wait for their turn behind what is being answered, the last first."""
    asked = {snapshot.runs[run_id].get("triggerId") for run_id in snapshot.active_runs}
    first = next((n for n, each in enumerate(snapshot.messages) if each["id"] in asked), None)
    if first is None:
        return []
    tried = {info.get("triggerId") for info in snapshot.runs.values()}
    answered = {
        (each.get("metadata") or {}).get("parentId")
        for each in snapshot.messages
        if each["role"] == "assistant"
    }
    return [
        each["id"]
        for each in reversed(snapshot.messages[first + 1 :])
        if each["role"] == "user" and each["id"] not in tried | answered
    ]


def _same(chat: Chat, source: Chat, by: Participant) -> Chat:
    """The chat, if it is this fork already. Raises Conflict."""
    if chat.parent_id != source.id or chat.owner_id != by.id:
        raise _taken()
    return chat


def _unknown_message() -> InvalidMessage:
    return InvalidMessage("There is no such message.", code="unknown-message")


def _taken() -> Conflict:
    return Conflict("There is a chat with this id already.", code="chat-id-used")


def _title(title: str | None) -> str:
    whole = (title or "New chat").removesuffix(_SUFFIX)
    room = _TITLE - len(_SUFFIX)
    return (whole if len(whole) <= room else whole[: room - 1].rstrip() + "…") + _SUFFIX

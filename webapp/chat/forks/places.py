"""Where in a chat's stream one of its messages is complete.

Owns finding the place, and as a name of it that a stream server knows. Must not know what is done there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.catalog.runs import RunInbox
from webapp.chat.errors import InvalidMessage
from webapp.chat.sessions import Sessions
from webapp.streams.clients.base import BEGINNING, StreamClient


@dataclass(frozen=True, slots=True)
class Place:
    """The ``count``-th event after ``offset``; ``last`` are those events, if they were looked at."""

    offset: str
    count: int = 0
    last: Sequence[bytes] | None = None


class Places:
    """Places in every chat."""

    def __init__(self, *, streams: StreamClient, sessions: Sessions, inbox: RunInbox) -> None:
        self._streams = streams
        self._sessions = sessions
        self._inbox = inbox

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

    async def _hint(self, chat_id: str, message_id: str) -> str:
        """A place before the message that is known without reading on."""
        messages = (await self._sessions.snapshot(chat_id)).snapshot.messages
        message = next((each for each in messages if each["id"] == message_id), None)
        run_id = ((message or {}).get("metadata") or {}).get("runId")
        if isinstance(run_id, str):
            rows = [row] if (row := await self._inbox.get(run_id)) else []
        else:
            rows = await self._inbox.attempts(chat_id, message_id)
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


def _unknown_message() -> InvalidMessage:
    return InvalidMessage("There is no such message.", code="unknown-message")

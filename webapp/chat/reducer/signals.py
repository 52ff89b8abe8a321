"""What our own signals do to a conversation.

They name what they are about, a message, a run or the whole chat, so they need not know whose turn it is to
write. ``static/js/chat-reducer-signals.js`` is the same in JavaScript.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from webapp.chat import events as names
from webapp.chat.messages import MEDIA
from webapp.chat.reducer import parts, queue
from webapp.chat.reducer.book import Book
from webapp.chat.reducer.marks import Marks
from webapp.chat.reducer.notes import Notes
from webapp.chat.reducer.parts import Record, record, string
from webapp.chat.reducer.runs import Runs


class Signals:
    """Signals about what ``book``, ``runs``, ``notes`` and ``marks`` hold."""

    def __init__(self, *, book: Book, runs: Runs, notes: Notes, marks: Marks) -> None:
        self._book = book
        self._runs = runs
        self._notes = notes
        self._marks = marks

    def hear(self, name: str, value: Record) -> None:
        """A signal. Those of others are ignored."""
        if name in self._HEARD:
            self._HEARD[name](self, value)

    def remove(self, message_id: str) -> None:
        """Take a message out; what stood after it stands after the one before."""
        self._notes.stand_after(message_id, self._book.before(message_id))
        self._book.remove(message_id)

    def _stopped_by(self, value: Record) -> None:
        by = {key: string(value, key) for key in ("participantId", "name")}
        self._runs.note(string(value, "runId"), stoppedBy=by)

    def _pinned(self, value: Record) -> None:
        self._marks.pin(value)

    def _renamed(self, value: Record) -> None:
        self._marks.rename(value)

    def _part(self, value: Record) -> None:
        part = record(value.get("part"))
        if string(value, "messageId") in self._book and string(part, "type") in MEDIA:
            self._book.write(value["messageId"])["parts"].append(dict(part))

    def _edited(self, value: Record) -> None:
        queue.edit(self._book, self._runs, value)

    def _dropped(self, value: Record) -> None:
        queue.drop(self._book, self._runs, value, remove=self.remove)

    def _joined(self, value: Record) -> None:
        self._notes.move(names.AGENT_JOINED, value, present=True, after=self._book.last)

    def _left(self, value: Record) -> None:
        self._notes.move(names.AGENT_LEFT, value, present=False, after=self._book.last)

    def _waiting(self, value: Record) -> None:
        self._notes.wait(names.WAITING_FOR_PERSON, value, after=self._book.last)

    def _decided(self, value: Record) -> None:
        call = string(value, "toolCallId")
        for message_id in self._runs.decide(string(value, "runId"), value):
            if message_id in self._book and parts.find(self._book.read(message_id), "tool-call", "id", call):
                part = parts.find(self._book.write(message_id), "tool-call", "id", call)
                if part is not None and record(part.get("approval")).get("id") == value["interruptId"]:
                    parts.decide(part, value.get("approved") is True)
                return

    _HEARD: Final[dict[str, Callable[[Signals, Record], None]]] = {
        names.STOPPED_BY: _stopped_by,
        names.BRANCH_PINNED: _pinned,
        names.CHAT_RENAMED: _renamed,
        names.MESSAGE_PART: _part,
        names.MESSAGE_EDITED: _edited,
        names.MESSAGE_DROPPED: _dropped,
        names.AGENT_JOINED: _joined,
        names.AGENT_LEFT: _left,
        names.WAITING_FOR_PERSON: _waiting,
        names.APPROVAL_DECIDED: _decided,
    }

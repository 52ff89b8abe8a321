"""The messages of a conversation while a reducer writes them: by id, in order, copied before a write.

Owns order, indexes and who may write: snapshots share messages with the book, so a message is copied at its
first change after a snapshot. Must not know what parts mean beyond where a tool call is.
"""

from __future__ import annotations

from collections.abc import Iterable

from webapp.chat.reducer.parts import record, string
from webapp.chat.reducer.snapshot import UIMessage


class Book:
    def __init__(self, messages: Iterable[UIMessage]) -> None:
        self._messages = list(messages)
        self._owned: set[str] = set()
        self._index()

    def _index(self) -> None:
        self._at = {message["id"]: index for index, message in enumerate(self._messages)}
        self._calls: dict[str, str] = {}
        for message in self._messages:
            self.note_calls(message)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._at

    @property
    def last(self) -> str:
        """The id of the last message; empty if there is none."""
        return self._messages[-1]["id"] if self._messages else ""

    def before(self, message_id: str) -> str:
        """The id of the message before that one; empty if it is the first."""
        at = self._at[message_id]
        return self._messages[at - 1]["id"] if at else ""

    def share(self) -> list[UIMessage]:
        """All messages, for others to keep: from now on they are copied before they change."""
        self._owned.clear()
        return self._messages.copy()

    def replace(self, messages: list[UIMessage]) -> None:
        self._messages = messages
        self._owned = {message["id"] for message in messages}
        self._index()

    def read(self, message_id: str) -> UIMessage:
        """The message, to look at only."""
        return self._messages[self._at[message_id]]

    def write(self, message_id: str) -> UIMessage:
        """The message, to change: ours alone, and in no snapshot."""
        index = self._at[message_id]
        if message_id not in self._owned:
            message = self._messages[index]
            self._messages[index] = {**message, "parts": [dict(part) for part in message["parts"]]}
            self._owned.add(message_id)
        return self._messages[index]

    def following(self, message_id: str) -> list[UIMessage]:
        """The messages that say they follow this one, to look at only."""
        return [
            message
            for message in self._messages
            if record(message.get("metadata")).get("parentId") == message_id
        ]

    def create(self, message_id: str, role: str) -> UIMessage:
        self._at[message_id] = len(self._messages)
        self._owned.add(message_id)
        self._messages.append({"id": message_id, "role": role, "parts": []})
        return self._messages[-1]

    def rename(self, old: str, new: str) -> None:
        message = self.write(old)
        message["id"] = new
        self._at[new] = self._at.pop(old)
        self._owned.add(new)
        self.note_calls(message)

    def remove(self, message_id: str) -> None:
        del self._messages[self._at[message_id]]
        self._index()

    def note_calls(self, message: UIMessage) -> None:
        """Remember which tool calls the message has; of several with one id the latest message counts."""
        for part in message["parts"]:
            call = string(part, "id") if part.get("type") == "tool-call" else ""
            if call and self._at[message["id"]] >= self._at.get(self._calls.get(call, ""), 0):
                self._calls[call] = message["id"]

    def caller(self, call: str) -> str:
        """The id of the message with this tool call; empty if none has it."""
        return self._calls.get(call, "")

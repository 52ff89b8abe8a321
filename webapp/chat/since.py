"""What of a conversation may be seen by somebody who was let in from one message on.

Owns which events that leaves, and nothing else: pure, no streams and no storage. It is an allow-list. An
event is shown if it belongs to a message or a run that began with that message or after it, to the chat as a
whole, or not at all. A later version of an earlier message and another answer to one are about what came
before, and so is everything that follows them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.reducer.parts import record, string

_OF_THE_CHAT: Final = frozenset({events.BRANCH_PINNED, events.AGENT_JOINED, events.AGENT_LEFT})
_TIES: Final = ("parentId", "editOf")


@dataclass(frozen=True, slots=True)
class Since:
    """From the message ``message_id`` on. ``offset`` is a place in the stream before it."""

    message_id: str
    offset: str


class Sieve:
    """Lets through what may be seen. Feed ``learn`` every event from ``since.offset`` on, in order, once;
    then ``pass_on`` may be asked about any of them, in any order. ``earlier`` are ids of messages before.
    """

    def __init__(self, since: Since, *, earlier: Collection[str] = ()) -> None:
        self._since = since
        self._earlier = frozenset(earlier)
        self._begun = False
        self._before: set[bytes] = set()
        self._late: set[str] = set()
        self.messages: set[str] = set()
        self.runs: set[str] = set()

    def learn(self, event: Event, raw: bytes) -> None:
        """Take note of what begins with the event. ``raw`` is the event as it is stored."""
        kind = event.get("type")
        if not self._begun:
            self._begun = kind == events.TEXT_MESSAGE_START and self._since.message_id == event.get(
                "messageId"
            )
            if self._begun:
                self.messages.add(self._since.message_id)
            else:
                self._before.add(raw)
        elif kind == events.TEXT_MESSAGE_START:
            self._learn_message(string(event, "messageId"), event)
        elif kind == events.RUN_STARTED:
            told = record(event.get("metadata"))
            earlier_run = "continues" in told and string(told, "continues") not in self.runs
            if string(told, "triggerId") in self.messages and not earlier_run:
                self.runs.add(string(event, "runId"))

    def _learn_message(self, message_id: str, event: Event) -> None:
        told = record(event.get("metadata"))
        if message_id in self.messages or not message_id:
            return
        if event.get("role") not in ("user", "system"):
            shown = string(told, "runId") in self.runs
        else:
            edits_earlier = "editOf" in told and string(told, "editOf") not in self.messages
            shown = not edits_earlier and string(told, "parentId") not in self._late
        if shown and message_id not in self._earlier:
            self.messages.add(message_id)
        else:
            self._late.add(message_id)

    def pass_on(self, event: Event, raw: bytes) -> Event | None:
        """The event as it may be seen: itself, less its ties to what came before; None if it may not be."""
        if not self._shows(event, raw):
            return None
        if event.get("type") != events.TEXT_MESSAGE_START:
            return event
        told = record(event.get("metadata"))
        kept = {
            key: value
            for key, value in told.items()
            if key != "choices" and (key not in _TIES or string(told, key) in self.messages)
        }
        return {**event, "metadata": kept} if kept != told else event

    def _shows(self, event: Event, raw: bytes) -> bool:
        kind, name, value = event.get("type"), string(event, "name"), record(event.get("value"))
        if kind == events.MESSAGES_SNAPSHOT:
            return False
        for key, shown in (("runId", self.runs), ("messageId", self.messages)):
            named = [each[key] for each in (event, record(event.get("metadata")), value) if key in each]
            if named:
                return isinstance(named[0], str) and named[0] in shown
        if kind != events.CUSTOM or raw in self._before:
            return False
        # The name that an agent finds for a chat tells what was said first; one that a person gives does not.
        return name in _OF_THE_CHAT or (name == events.CHAT_RENAMED and "participantId" in value)

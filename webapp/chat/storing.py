"""Makes what a source yields fit to be stored, or says that it is not.

Owns what an event has to be and how large it may be. Must not know whose event it is, or where it goes.
"""

from __future__ import annotations

from typing import Any, Final

from webapp.agents.base import Event
from webapp.chat import events

DELTA_LIMIT: Final = 64 * 1024
"""Characters of text in one event; a longer delta becomes several."""

EVENT_LIMIT: Final = 1024 * 1024
"""Bytes of one event as JSON."""


class NotAnEvent(Exception):
    """The source yielded something that cannot be stored."""


class Intake:
    """Takes one source's events in, one after the other."""

    def __init__(self) -> None:
        self._contents: dict[object, str] = {}

    def take(self, event: object) -> Event:
        """The event as it is stored (``events.sanitize``). Raises NotAnEvent if it has no ``type``.

        ``content`` is the whole text so far: of a chunk that has nothing else, what is new is the delta.
        """
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise NotAnEvent(f"expected an AG-UI event, got {type(event).__name__}")
        content = event.get("content")
        if event["type"] == events.TEXT_MESSAGE_CONTENT and isinstance(content, str):
            message_id = str(event.get("messageId"))
            before, self._contents[message_id] = self._contents.get(message_id, ""), content
            if not isinstance(event.get("delta"), str):
                event = {**event, "delta": content.removeprefix(before)}
        return events.sanitize(event)


def split(event: Event) -> list[Event]:
    """The event, or several if its text is long."""
    delta = event.get("delta")
    if not isinstance(delta, str) or len(delta) <= DELTA_LIMIT:
        return [event]
    return [{**event, "delta": delta[at : at + DELTA_LIMIT]} for at in range(0, len(delta), DELTA_LIMIT)]


def size(event: dict[str, Any]) -> int:
    """Bytes of the event as JSON. Raises NotAnEvent if it is none, or more than EVENT_LIMIT."""
    try:
        length = len(events.encode(event))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotAnEvent(f"{event['type']} is not JSON: {error}") from error
    if length > EVENT_LIMIT:
        raise NotAnEvent(f"{event['type']} is larger than {EVENT_LIMIT} bytes")
    return length

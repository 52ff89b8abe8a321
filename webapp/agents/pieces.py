"""Turns what is easy to write into what goes on the wire.

Owns the framing of plain strings as text messages, so that an agent may be ten lines. Must not know runs,
streams or who is speaking: identity is stamped on later.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Protocol, TypeAlias

from webapp.agents.base import Event


class EventModel(Protocol):
    """An event of ``ag-ui-protocol``, or any model that is dumped like one."""

    def model_dump(self, *, mode: str, by_alias: bool, exclude_none: bool) -> dict[str, Any]: ...


Piece: TypeAlias = str | Event | EventModel


async def as_events(pieces: AsyncIterable[Piece], *, prefix: str = "text") -> AsyncIterator[Event]:
    """Pass events through and frame runs of strings as text messages, with the ids ``<prefix>-<number>``.

    An event ends the message before it, and a string after it begins another one: a tool call stands
    between two messages, not inside one. Empty strings say nothing.
    """
    count = 0
    message_id: str | None = None
    async for piece in pieces:
        if not isinstance(piece, str):
            if message_id is not None:
                yield {"type": "TEXT_MESSAGE_END", "messageId": message_id}
                message_id = None
            yield _plain(piece)
        elif piece:
            if message_id is None:
                count += 1
                message_id = f"{prefix}-{count}"
                yield {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"}
            yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": piece}
    if message_id is not None:
        yield {"type": "TEXT_MESSAGE_END", "messageId": message_id}


def _plain(event: Event | EventModel) -> Event:
    # Whatever else somebody yields is passed on, and refused where it is looked at.
    if not hasattr(event, "model_dump"):
        return event
    return event.model_dump(mode="json", by_alias=True, exclude_none=True)

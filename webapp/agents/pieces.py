"""Turns what is easy to write into what goes on the wire.

Owns the framing of plain strings as text messages, so that an agent may be ten lines. Must not know runs,
streams or who is speaking: identity is stamped on later.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
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


async def go_on(pieces: AsyncIterable[Piece], *, after: str) -> AsyncIterator[Piece]:
    """What comes after the text ``after``, which has been said, with the events that came before it left out.

    For what says the same again. Where it does not, all the rest of it comes.
    """
    async for piece in pieces:
        if not after:
            yield piece
        elif isinstance(piece, str):
            told = [one == other for one, other in zip(piece, after, strict=False)]
            same = told.index(False) if False in told else len(told)
            after = after[same:] if same == len(piece) else ""
            if same < len(piece):
                yield piece[same:]


def ask_client(calls: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Event:
    """The end of a turn that goes on once the client has run tools of its own: for each the id of the call,
    which has been told, the tool's name and its input.
    """
    interrupts = [
        {
            "id": f"{call_id}-input",
            "reason": "client_tool_input",
            "toolCallId": call_id,
            "metadata": {"kind": "client_tool", "toolName": name, "input": dict(given)},
        }
        for call_id, name, given in calls
    ]
    return {"type": "RUN_FINISHED", "outcome": {"type": "interrupt", "interrupts": interrupts}}


def _plain(event: Event | EventModel) -> Event:
    # Whatever else somebody yields is passed on, and refused where it is looked at.
    if not hasattr(event, "model_dump"):
        return event
    return event.model_dump(mode="json", by_alias=True, exclude_none=True)

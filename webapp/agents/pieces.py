"""Turns what is easy to write into what goes on the wire.

Owns the framing of plain strings as text messages, so that an agent may be ten lines. Must not know runs,
streams or who is speaking: identity is stamped on later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeAlias

from webapp.agents.base import Event

Piece: TypeAlias = str | Event


async def as_events(pieces: AsyncIterator[Piece]) -> AsyncIterator[Event]:
    """Pass events through and frame runs of strings as text messages.

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
            yield piece
        elif piece:
            if message_id is None:
                count += 1
                message_id = f"text-{count}"
                yield {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant"}
            yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": piece}
    if message_id is not None:
        yield {"type": "TEXT_MESSAGE_END", "messageId": message_id}


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

"""A message as events: what is appended when it is accepted, and what every reader shows.

The same message gives the same events, byte for byte, so that a repeated append is a duplicate and not a
second message. Folding the events gives the message back (``webapp.chat.reducer``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.messages import MEDIA, NewMessage
from webapp.chat.reducer.parts import Record, string, stringify


def message_echo(
    message: NewMessage,
    *,
    name: str,
    participant_id: str,
    created_at_ms: int,
    shown: Mapping[str, Any] | None = None,
    parent_id: str | None = None,
    placed: Mapping[str, Any] | None = None,
) -> list[Event]:
    """A person's message: START, the text, one ``message.part`` for each media part, END.

    ``metadata`` says who wrote it and when (ms since the epoch), ``parentId`` what it follows; ``placed`` has
    what else there is to say of its place, ``shown`` of its author. Nothing that the client claimed about
    itself is kept.
    """
    metadata = {
        "participantId": participant_id,
        "createdAt": created_at_ms,
        **(shown or {}),
        **(placed or {}),
    }
    if parent_id is not None:
        metadata["parentId"] = parent_id
    return echo(
        message.id,
        role="user",
        name=name,
        metadata=metadata,
        parts=[{"type": "text", "content": message.text}, *message.parts],
        timestamp=created_at_ms,
    )


def echo(
    message_id: str,
    *,
    role: str,
    parts: Iterable[Mapping[str, Any]],
    metadata: Mapping[str, Any],
    timestamp: int,
    name: str | None = None,
) -> list[Event]:
    """START, what tells of the parts, END. Parts of other kinds than text, thinking, tools and media are left
    out, and empty text.
    """
    start = events.text_start(message_id, role=role, name=name, timestamp=timestamp, metadata=metadata)
    told = [start]
    for number, part in enumerate(parts):
        tell = _TELLERS.get(str(part.get("type")))
        if tell is not None:
            told += tell(dict(part), message_id, f"{message_id}~{number}")
    told.append(events.text_end(message_id))
    if role != "assistant":
        return told
    # Thinking and tools go to the current answer of their run. This one has none, and must not mix with any
    # that is under way: it belongs to a run that nobody starts.
    return [{**event, "runId": f"echo~{message_id}"} for event in told]


def _text(part: Record, message_id: str, _: str) -> list[Event]:
    """UIMessage says ``content``, AG-UI says ``text``."""
    text = part.get("content", part.get("text"))
    return [events.text_content(message_id, text)] if isinstance(text, str) and text else []


def _thinking(part: Record, _: str, own_id: str) -> list[Event]:
    step = string(part, "stepId") or own_id
    told: list[Event] = [
        {"type": events.REASONING_MESSAGE_START, "messageId": step, "role": "reasoning"},
        {"type": events.REASONING_MESSAGE_CONTENT, "messageId": step, "delta": string(part, "content")},
        {"type": events.REASONING_MESSAGE_END, "messageId": step},
    ]
    if signature := string(part, "signature"):
        about = {"subtype": "message", "entityId": step, "encryptedValue": signature}
        told.append({"type": events.REASONING_ENCRYPTED_VALUE, **about})
    return [event for event in told if event.get("delta") != ""]


def _tool_call(part: Record, message_id: str, own_id: str) -> list[Event]:
    call = string(part, "id") or own_id
    name = {"toolCallName": string(part, "name"), "parentMessageId": message_id}
    told: list[Event] = [{"type": events.TOOL_CALL_START, "toolCallId": call, **name}]
    if "metadata" in part:
        told[0]["metadata"] = part["metadata"]
    if arguments := string(part, "arguments"):
        told.append({"type": events.TOOL_CALL_ARGS, "toolCallId": call, "delta": arguments})
    return [*told, {"type": events.TOOL_CALL_END, "toolCallId": call}]


def _tool_result(part: Record, _: str, own_id: str) -> list[Event]:
    content = part.get("content")
    event: Event = {
        "type": events.TOOL_CALL_RESULT,
        "messageId": own_id,
        "toolCallId": string(part, "toolCallId"),
        "content": content if isinstance(content, str | list) else stringify(content),
    }
    return [{**event, "state": "output-error"} if part.get("state") == "error" else event]


def _media(part: Record, message_id: str, _: str) -> list[Event]:
    return [events.custom(events.MESSAGE_PART, {"messageId": message_id, "part": dict(part)})]


_TELLERS: Final[Mapping[str, Callable[[Record, str, str], list[Event]]]] = {
    "text": _text,
    "thinking": _thinking,
    "tool-call": _tool_call,
    "tool-result": _tool_result,
    **dict.fromkeys(MEDIA, _media),
}

"""A person's message as events: what is appended when it is accepted, and what every reader shows.

The same message gives the same events, byte for byte, so that a repeated append is a duplicate and not a
second message.
"""

from __future__ import annotations

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.messages import NewMessage


def message_echo(
    message: NewMessage,
    *,
    name: str,
    participant_id: str,
    created_at_ms: int,
    parent_id: str | None = None,
) -> list[Event]:
    """START, the text, one ``message.part`` for each media part, END.

    ``metadata`` says who wrote it and when (ms since the epoch), ``parentId`` what it answers; nothing that
    the client claimed about itself is kept.
    """
    metadata: dict[str, str | int] = {"participantId": participant_id, "createdAt": created_at_ms}
    if parent_id is not None:
        metadata["parentId"] = parent_id
    return [
        events.text_start(message.id, role="user", name=name, timestamp=created_at_ms, metadata=metadata),
        events.text_content(message.id, message.text),
        *(
            events.custom(events.MESSAGE_PART, {"messageId": message.id, "part": part})
            for part in message.parts
        ),
        events.text_end(message.id),
    ]

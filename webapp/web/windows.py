"""Which messages of a conversation a page or fragment shows. Pure.

A window is short enough to be rendered and sent at once, whatever the length of the conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webapp.web.rows import Message

VISIBLE_MESSAGES = 60
VISIBLE_CHARS = 48_000
"""A window holds messages up to both limits, and always one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The messages that are shown; ``above`` and ``below`` are the ones next to them, if there are any."""

    messages: Sequence[Message]
    above: Message | None = None
    below: Message | None = None


def window(messages: Sequence[Message], *, before: str | None = None, at: str | None = None) -> Window | None:
    """The latest messages, those just above the message ``before``, or ``at`` and those below it.

    None if there is no such message.
    """
    named = at or before
    edge = len(messages) if named is None else _index(messages, named)
    if edge is None:
        return None
    start = end = edge
    chars = 0
    while end - start < VISIBLE_MESSAGES and chars < VISIBLE_CHARS:
        if at is None and start > 0:
            start -= 1
            chars += _size(messages[start])
        elif at is not None and end < len(messages):
            chars += _size(messages[end])
            end += 1
        else:
            break
    return Window(
        messages=messages[start:end],
        above=messages[start - 1] if start else None,
        below=messages[end] if end < len(messages) else None,
    )


def opening(messages: Sequence[Message], *, read_to: str | None, me_id: str) -> Window | None:
    """What a page opens with: the latest messages. If what ``me_id`` has not read begins above them, what was
    read last and what follows it.
    """
    latest = window(messages)
    read = None if read_to is None else _index(messages, read_to)
    if latest is None or read is None or read >= len(messages) - len(latest.messages):
        return latest
    since = window(messages, at=read_to)
    if since is None or all(_said_by(me_id, one) for one in since.messages[1:]):
        return latest
    return since


def _said_by(participant_id: str, message: Message) -> bool:
    return (message.get("metadata") or {}).get("participantId") == participant_id


def _index(messages: Sequence[Message], message_id: str) -> int | None:
    return next((index for index, one in enumerate(messages) if one.get("id") == message_id), None)


def _size(message: Message) -> int:
    return sum(
        len(value) for part in message.get("parts") or () for value in part.values() if isinstance(value, str)
    )

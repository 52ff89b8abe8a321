"""Single chunks and single messages on their way into a stream.

Owns what becomes of each. Must not know runs: those are piped (``piping``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar
from uuid import uuid4

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.echo import echo
from webapp.chat.reducer.parts import record
from webapp.session.piping import append_chunks
from webapp.session.streams import AnyStream, DurableStream, opened
from webapp.streams.clients.producer import IdempotentProducer
from webapp.streams.clients.retry import Retry

# A person is waiting: a few tries, then they are told when to come back.
_RETRY = Retry(attempts=3, base=0.05, cap=0.5)

_ROLES = ("user", "assistant", "system")

S = TypeVar("S", bound=AnyStream)


async def ensure_durable_chat_session_stream(stream: S) -> S:
    """Create the session's stream unless it exists; return what was given, to be passed on.

    It is an ``application/json`` stream; one that exists with another type raises StreamConflict. Safe to
    repeat. Helpers that write a session or a response do it by themselves.
    """
    async with opened(stream) as place:
        await place.client.ensure(place.path)
    return stream


def sanitize_chunk_for_storage(chunk: Event) -> Event:
    """The chunk as it is stored.

    ``content`` of TEXT_MESSAGE_CONTENT, the whole text so far, is left out: it would make a stream quadratic.
    In a chunk that has no ``delta`` it becomes the delta. ``rawEvent``, a provider's own, is left out of all
    chunks, and a fractional ``timestamp`` is cut: AG-UI knows integers only.
    """
    return events.sanitize(chunk)


def to_message_echo_chunks(
    message: Mapping[str, Any],
    *,
    clock: Callable[[], float] = time.time,
    new_id: Callable[[], str] = lambda: f"msg-{uuid4().hex}",
) -> list[Event]:
    """A message as chunks: TEXT_MESSAGE_START, its parts, TEXT_MESSAGE_END.

    ``message`` is a UIMessage (``{id, role, parts, name?, metadata?}``) or a ModelMessage (``{role,
    content}``). Text, images and other media, thinking, tool calls and their results are all told, so that
    folding the chunks gives the message back. Without an ``id`` it gets a new one; a role that is not
    ``assistant`` or ``system`` is ``user``. ``metadata.createdAt`` is added, in milliseconds.

    ``role``, ``name`` and ``metadata`` are kept as they are. Of a message that a client has sent, say
    yourself who wrote it: ``{**message, "role": "user", "name": user.name, "metadata": {…}}``.
    """
    now_ms = int(clock() * 1000)
    given_id, role, name = (message.get(key) for key in ("id", "role", "name"))
    content = message.get("parts", message.get("content"))
    parts = [{"type": "text", "content": content}] if isinstance(content, str) else content
    return echo(
        given_id if isinstance(given_id, str) and given_id else new_id(),
        role=role if role in _ROLES else "user",
        name=name if isinstance(name, str) else None,
        metadata={"createdAt": now_ms, **record(message.get("metadata"))},
        parts=[part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else [],
        timestamp=now_ms,
    )


async def append_sanitized_chunks_to_stream(
    stream: AnyStream, chunks: Sequence[Event], *, producer_id: str | None = None
) -> str:
    """Append chunks, sanitised and in order; return the tail offset after them, durable.

    ``producer_id`` makes it once: a second call with the same id adds nothing, whatever its chunks. Without
    one, every call appends, and a lost reply is still not a second append.

    Raises StreamsUnavailable (``retry_after`` seconds) when nothing could be stored now, StreamNotFound,
    StreamGone, StreamClosed, PayloadTooLarge.
    """
    async with opened(stream) as place:
        return await append_once(place, chunks, producer_id=producer_id or f"chunks:{uuid4().hex}")


async def append_once(place: DurableStream, chunks: Sequence[Event], *, producer_id: str) -> str:
    """``append_sanitized_chunks_to_stream`` to a stream that is open."""
    producer = IdempotentProducer(place.client, place.path, producer_id=producer_id, retry=_RETRY)
    async with aclosing(producer):
        receipt = await append_chunks(producer, [events.sanitize(chunk) for chunk in chunks])
    return receipt.offset

"""Tells a chat what people have settled: in the stream once, however often it is tried.

Owns what a person hears when that cannot be stored. Must not know what is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from uuid import uuid4

from webapp.agents.base import Event
from webapp.chat import events
from webapp.chat.errors import ChatNotFound, Unavailable
from webapp.chat.sessions import STREAM_IS_GONE, Sessions
from webapp.streams.clients.base import StreamClient, StreamsUnavailable
from webapp.streams.clients.producer import IdempotentProducer
from webapp.streams.clients.retry import Retry

# A person is waiting: a few tries, then they are told when to come back.
_RETRY = Retry(attempts=3, base=0.05, cap=0.5)


class Telling:
    """Appends to chats."""

    def __init__(self, *, streams: StreamClient, sessions: Sessions) -> None:
        self._streams = streams
        self._sessions = sessions

    async def tell(self, chat_id: str, told: Sequence[Event], *, once: str | None = None) -> None:
        """Append all of it at once; durable on return.

        What has the same name ``once`` in a chat is stored the first time it is told. Raises Unavailable, and
        ChatNotFound if nothing can ever be told there again.
        """
        producer = IdempotentProducer(
            self._streams,
            self._sessions.path(chat_id),
            producer_id=once or f"signal:{uuid4().hex}",
            retry=_RETRY,
        )
        try:
            async with aclosing(producer):
                await producer.append([events.encode(event) for event in told])
        except StreamsUnavailable as refusal:
            raise Unavailable(
                "That could not be stored. Please try again.", retry_after=refusal.retry_after
            ) from refusal
        except STREAM_IS_GONE as refusal:
            raise ChatNotFound from refusal

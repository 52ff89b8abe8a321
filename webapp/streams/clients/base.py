"""The seam between the chat and its streams: what any stream client can do, and how it fails.

``local`` serves an embedded engine, ``http`` a server elsewhere; the chat cannot tell which.

It fails with the types of ``protocol.errors``, which are re-exported here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from webapp.streams.protocol.errors import (
    InvalidRequest,
    PayloadTooLarge,
    SequenceGap,
    StaleEpoch,
    StreamClosed,
    StreamConflict,
    StreamError,
    StreamGone,
    StreamNotFound,
    StreamsUnavailable,
)
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.wire import WireRequest, WireResponse

__all__ = [
    "BEGINNING",
    "AppendReceipt",
    "InvalidRequest",
    "PayloadTooLarge",
    "ProducerTuple",
    "ReadPage",
    "SequenceGap",
    "StaleEpoch",
    "StreamClient",
    "StreamClosed",
    "StreamConflict",
    "StreamError",
    "StreamGone",
    "StreamNotFound",
    "StreamsUnavailable",
]

BEGINNING = "-1"


@dataclass(frozen=True, slots=True)
class AppendReceipt:
    """A durable append. ``offset`` is the tail after it; ``duplicate`` says it had been accepted before."""

    offset: str
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Some messages of a JSON stream, raw and in order, and where to read on.

    ``up_to_date`` means nothing was left after ``next_offset`` when the page was read.
    """

    messages: tuple[bytes, ...]
    next_offset: str
    up_to_date: bool
    closed: bool = False


class StreamClient(Protocol):
    """What the chat may know of streams. Paths are relative (``chats/abc``), messages are JSON bytes."""

    async def ensure(
        self, path: str, *, content_type: str = "application/json", ttl: int | None = None
    ) -> str:
        """Create the stream unless it exists; return its tail offset.

        With ``ttl`` it ends so many seconds after its last use. Raises StreamConflict if it exists otherwise.
        """
        ...

    async def append(
        self,
        path: str,
        messages: Sequence[bytes],
        *,
        producer: ProducerTuple | None = None,
        close: bool = False,
    ) -> AppendReceipt:
        """Append all messages at once or none; return only when they are durable."""
        ...

    async def read(self, path: str, *, offset: str = BEGINNING) -> ReadPage:
        """Read one bounded page after ``offset``. Loop until ``up_to_date``."""
        ...

    def tail(self, path: str, *, offset: str) -> AsyncGenerator[ReadPage, None]:
        """Yield pages from ``offset`` on and wait for more, until the stream is closed or this process begins
        to stop. Raises what ends the stream; that it cannot be reached is waited out.
        """
        ...

    async def forward(self, request: WireRequest) -> WireResponse:
        """Answer a protocol read (GET or HEAD) as the stream server would."""
        ...

    async def fork(self, source: str, target: str, *, offset: str | None = None, sub_offset: int = 0) -> str:
        """Create ``target`` as a fork of ``source``; return its tail offset."""
        ...

    async def delete(self, path: str) -> None:
        """Delete the stream; raise StreamNotFound or StreamGone if it is not there."""
        ...

    async def aclose(self) -> None:
        """Let go of connections and tasks."""
        ...

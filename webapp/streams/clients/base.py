"""The seam between the chat and its streams: what any stream client can do, and how it fails.

``local`` serves an embedded engine, ``http`` a server elsewhere; the chat cannot tell which.

    StreamError
    ├── StreamNotFound            404: there is no such stream
    ├── StreamGone                410: soft-deleted, or the offset belongs to an earlier generation
    ├── StreamConflict            409: exists with another configuration, or content type differs
    ├── StreamClosed              409: closed; carries ``tail``
    ├── StaleEpoch                403: fenced by a newer epoch; carries ``current_epoch``
    ├── SequenceGap               409: carries ``expected`` and ``received``
    ├── InvalidRequest            400: bad offset, bad JSON
    ├── PayloadTooLarge           413
    └── StreamsUnavailable        503: not accepted, try again; carries ``retry_after`` seconds
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from webapp.streams.wire import WireRequest, WireResponse

BEGINNING = "-1"


class StreamError(Exception):
    """Anything a stream client raises on purpose."""


class StreamNotFound(StreamError):
    pass


class StreamGone(StreamError):
    pass


class StreamConflict(StreamError):
    pass


class InvalidRequest(StreamError):
    pass


class PayloadTooLarge(StreamError):
    pass


class StreamClosed(StreamError):
    def __init__(self, message: str, *, tail: str) -> None:
        super().__init__(message)
        self.tail = tail


class StaleEpoch(StreamError):
    def __init__(self, message: str, *, current_epoch: int) -> None:
        super().__init__(message)
        self.current_epoch = current_epoch


class SequenceGap(StreamError):
    def __init__(self, message: str, *, expected: int, received: int) -> None:
        super().__init__(message)
        self.expected = expected
        self.received = received


class StreamsUnavailable(StreamError):
    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class ProducerTuple:
    """Who appends and which append this is (protocol section 5.2.1)."""

    id: str
    epoch: int
    seq: int


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
    """What the chat may know of streams. Paths are relative, such as ``chats/abc``; messages are JSON bytes."""

    async def ensure(self, path: str, *, content_type: str = "application/json") -> str:
        """Create the stream unless it exists; return its tail offset."""
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

    def tail(self, path: str, *, offset: str) -> AsyncIterator[ReadPage]:
        """Yield pages from ``offset`` on and wait for more, until the stream is closed or deleted."""
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

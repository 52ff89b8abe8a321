"""One request and one reply of the Durable Streams protocol, without a socket.

Owns the values that pass between a transport and the engine. Knows nothing of ASGI, storage or asyncio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import msgspec

Headers = tuple[tuple[str, str], ...]


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a transport knows of a request before its body.

    ``path`` and ``query`` are as they came; ``headers`` has lower-case names, repeated ones joined by commas.
    ``client`` is the peer's address.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    client: str = ""
    scheme: str = "http"


class WireRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request on one stream.

    ``path`` is the stream's path below the mount, percent-encoded as it came, without a leading slash.
    ``query`` keeps repeated parameters; values are decoded. ``headers`` has lower-case names.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""


class WireResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A reply. ``body`` is whole bytes, or an async iterator of frames when the reply is live (SSE).

    Every item of a live body is one complete frame: data and its control event together. A large body that is
    passed on from elsewhere is an iterator of pieces. Whoever has a body that can be closed closes it.
    """

    status: int
    headers: Headers = ()
    body: bytes | AsyncIterator[bytes] = b""

    def header(self, name: str) -> str | None:
        """The value of header ``name`` (case-insensitive), or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

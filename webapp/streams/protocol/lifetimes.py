"""How long a stream lives (protocol section 5.1): a sliding time to live, or a fixed end, or for ever.

``Stream-TTL`` is a window in seconds that every read and write starts anew; ``Stream-Expires-At`` never
moves. Times are Unix seconds. Pure: stores look at the deadline whenever a stream is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from webapp.streams.protocol import names
from webapp.streams.protocol.errors import InvalidRequest

_SECONDS = re.compile(r"0|[1-9][0-9]{0,14}")
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """``ttl`` in seconds, or ``expires_at`` as the RFC 3339 text it was asked for with, or neither."""

    ttl: int | None = None
    expires_at: str | None = None

    def deadline(self, now: float) -> float | None:
        """When a stream that is used at ``now`` ends, or None."""
        if self.ttl is not None:
            return now + self.ttl
        return _instant(self.expires_at) if self.expires_at is not None else None

    def same(self, other: Lifetime) -> bool:
        """Whether both ask for the same life, however the instant is written."""
        return self.ttl == other.ttl and self.deadline(0.0) == other.deadline(0.0)


FOREVER = Lifetime()


def from_headers(headers: Mapping[str, str]) -> Lifetime:
    """The lifetime a request asks for. Raises InvalidRequest on bad syntax or when both headers are there."""
    ttl = headers.get(names.STREAM_TTL.lower())
    expires_at = headers.get(names.STREAM_EXPIRES_AT.lower())
    if ttl is not None and expires_at is not None:
        raise InvalidRequest("Stream-TTL and Stream-Expires-At exclude each other.")
    if ttl is not None:
        if _SECONDS.fullmatch(ttl) is None:
            raise InvalidRequest("Stream-TTL is not a whole number of seconds.")
        return Lifetime(ttl=int(ttl))
    if expires_at is not None:
        _instant(expires_at)
        return Lifetime(expires_at=expires_at)
    return FOREVER


def _instant(text: str) -> float:
    try:
        if _RFC3339.fullmatch(text) is None:
            raise ValueError(text)
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        raise InvalidRequest("Stream-Expires-At is not an RFC 3339 time.") from None

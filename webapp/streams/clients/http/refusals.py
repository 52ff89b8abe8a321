"""What a stream server's refusals mean: statuses and headers as the types of ``protocol.errors``.

Pure. In our own words only: text of the server is in no error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from webapp.streams.protocol import names
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

MAX_RETRY_AFTER = 300.0
"""Seconds. A server that asks for more is asked again after this."""

_DIGITS = re.compile(r"[0-9]{1,16}")
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 507})
"""Answers that another try may well turn into a better one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole reply. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())


class Transient(StreamsUnavailable):
    """Another try may do. ``undone``: the server has certainly not done what it was asked."""

    def __init__(self, message: str, *, retry_after: float = 0.0, undone: bool = False) -> None:
        super().__init__(message, retry_after=retry_after)
        self.undone = undone


def refusal(reply: Reply) -> StreamError:  # noqa: PLR0911 - one line per kind of refusal
    """What the server meant, in our own words."""
    match reply.status:
        case 403 if (epoch := _number(reply, names.PRODUCER_EPOCH)) is not None:
            return StaleEpoch("A newer epoch of this producer has taken over.", current_epoch=epoch)
        case 404:
            return StreamNotFound()
        case 409:
            return _conflict(reply)
        case 410:
            return StreamGone()
        case 413:
            return PayloadTooLarge("The stream server does not take that much at once.")
        case 400 | 405 | 406 | 415 | 422:
            return InvalidRequest("The stream server does not accept this request.")
        case 401 | 403:
            return StreamsUnavailable("The stream server does not accept our token.")
        case status if status in _PASSING:
            message = f"The stream server answered {status}."
            return Transient(message, retry_after=_retry_after(reply), undone=status == 429)
        case status:
            return StreamsUnavailable(f"The stream server answered {status}.")


def _conflict(reply: Reply) -> StreamConflict:
    if (reply.header(names.STREAM_CLOSED) or "").lower() == names.TRUE:
        return StreamClosed(tail=reply.header(names.STREAM_NEXT_OFFSET) or "")
    expected = _number(reply, names.PRODUCER_EXPECTED_SEQ)
    received = _number(reply, names.PRODUCER_RECEIVED_SEQ)
    if expected is None or received is None:
        return StreamConflict("The stream exists with another configuration.")
    return SequenceGap(
        f"Expected sequence {expected}, received {received}.", expected=expected, received=received
    )


def _number(reply: Reply, name: str) -> int | None:
    text = reply.header(name) or ""
    return int(text) if _DIGITS.fullmatch(text) else None


def _retry_after(reply: Reply) -> float:
    """Seconds: the header's, as a number or a date, else none."""
    text = (reply.header(names.RETRY_AFTER) or "").strip()
    if _DIGITS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(reply.header("Date") or "")
    except (TypeError, ValueError):
        return 0.0
    return min(max(0.0, wait.total_seconds()), MAX_RETRY_AFTER)

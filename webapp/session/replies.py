"""Small responses as ASGI apps, which every framework can return or call.

Owns their headers. Must not know streams.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec

from webapp.streams.asgi import Responder
from webapp.streams.clients.base import StreamError, StreamsUnavailable
from webapp.streams.wire import WireResponse

logger = logging.getLogger(__name__)

WRITE_TIMEOUT: Final = 20.0
"""Seconds that one write may take before a reader who does not read is dropped."""

_SENTENCES: Final[Mapping[int, str]] = {
    400: "The request could not be understood.",
    404: "There is no such conversation.",
    409: "This conversation takes no more messages.",
    410: "This conversation no longer exists.",
    413: "The message is too large.",
    500: "Something went wrong on our side.",
    503: "The conversation cannot be reached right now. Try again in a moment.",
}


def response(
    status: int, body: bytes | AsyncIterator[bytes] = b"", *, headers: Mapping[str, str] | None = None
) -> Responder:
    """An ASGI app that sends this. ``headers`` outrank ours, which say that nobody may keep it."""
    return Responder(_reply(status, body, headers), write_timeout=WRITE_TIMEOUT)


def json_response(status: int, value: Any, *, headers: Mapping[str, str] | None = None) -> Responder:
    """An ASGI app that sends ``value`` as JSON."""
    return Responder(_json(status, value, headers), write_timeout=WRITE_TIMEOUT)


def to_error_response(error: Exception) -> Responder:
    """The response to an error of a helper: JSON ``{"error": <sentence>, "code": <stable code>}``.

    The status is the StreamError's: 503 with ``Retry-After`` when the stream cannot be reached, else 400,
    404, 409, 410 or 413. Anything else is logged and told as 500. No text of an exception is in it.
    """
    return Responder(told(error), write_timeout=WRITE_TIMEOUT)


def told(error: Exception) -> WireResponse:
    """What ``to_error_response`` sends."""
    headers: dict[str, str] = {}
    status, code = 500, "internal"
    if isinstance(error, StreamError) and error.status in _SENTENCES:
        status, code = error.status, error.code
    else:
        logger.error("told as an internal error", exc_info=error)
    if isinstance(error, StreamsUnavailable):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return _json(status, {"error": _SENTENCES[status], "code": code}, headers)


def _json(status: int, value: Any, headers: Mapping[str, str] | None) -> WireResponse:
    typed = {"Content-Type": "application/json", **(headers or {})}
    return _reply(status, msgspec.json.encode(value), typed)


def _reply(
    status: int, body: bytes | AsyncIterator[bytes], headers: Mapping[str, str] | None
) -> WireResponse:
    given = {name.lower(): (name, value) for name, value in (headers or {}).items()}
    merged = {"cache-control": ("Cache-Control", "no-store"), **given}
    return WireResponse(status=status, headers=tuple(merged.values()), body=body)

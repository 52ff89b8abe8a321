"""Heads of replies as bytes, and the little replies that HTTP itself makes. Pure."""

from __future__ import annotations

import json
from http import HTTPStatus

from webapp.streams.protocol import names
from webapp.streams.wire import Headers, WireResponse

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


def block(headers: Headers) -> str:
    """Header lines. Raises ValueError for a value that would be more than one line."""
    text = "".join([f"{name.lower()}: {value}\r\n" for name, value in headers])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        raise ValueError("a header holds a line break")
    return text


def head(status: int, *blocks: str) -> bytes:
    """The head of a reply from ``block``s."""
    return "".join([_STATUS_LINES[status], *blocks, "\r\n"]).encode("latin-1")


def told(status: int, code: str, sentence: str) -> WireResponse:
    """A refusal that no stream had a part in."""
    body = json.dumps({"error": sentence, "code": code}).encode()
    headers = ((names.CONTENT_TYPE, names.JSON), (names.CACHE_CONTROL, "no-store"))
    return WireResponse(status=status, headers=headers, body=body)


MALFORMED = told(400, "malformed", "This is no HTTP request.")
HEAD_TOO_LARGE = told(431, "head-too-large", "The headers are too large.")
CROWDED = told(503, "crowded", "There are too many connections.")
BROKEN = told(500, "internal", "The server failed to answer.")

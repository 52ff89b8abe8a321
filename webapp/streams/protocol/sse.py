"""Server-sent events as the protocol wants them (section 5.8): LF only, one ``control`` after each ``data``.

There is a space after ``event:`` and none after ``data:``, where a parser would eat the first space of a
payload. Owns framing only; what a page holds is decided elsewhere.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from webapp.streams.protocol.content import is_json

PING = b": ping\n\n"
"""A comment that keeps idle connections alive; parsers skip it."""

# Only these end a line in an event stream. bytes.splitlines would also do, str.splitlines would not: it cuts
# at U+2028 and at control characters.
_LINE_END = re.compile(rb"\r\n|\r|\n")


def is_base64(content_type: str) -> bool:
    """Whether data events of this content type are base64: everything but text and JSON."""
    return not (is_json(content_type) or content_type.strip().lower().startswith("text/"))


def data(payload: bytes, *, encode: bool = False) -> bytes:
    """A ``data`` event; ``encode`` wraps binary payloads in base64."""
    return _event(b"data", base64.b64encode(payload) if encode else payload)


def control(*, next_offset: str, cursor: str | None, up_to_date: bool, closed: bool) -> bytes:
    """A ``control`` event: where to resume, and whether there is more now or ever."""
    fields: dict[str, Any] = {"streamNextOffset": next_offset}
    if cursor is not None:
        fields["streamCursor"] = cursor
    if up_to_date:
        fields["upToDate"] = True
    if closed:
        fields["streamClosed"] = True
    return _event(b"control", json.dumps(fields, separators=(",", ":")).encode())


def _event(name: bytes, payload: bytes) -> bytes:
    # A parser drops one space after the colon, so a line that starts with one is given another.
    lines = (b" " + line if line[:1] == b" " else line for line in _LINE_END.split(payload))
    return b"event: %b\n%b\n" % (name, b"".join(b"data:%b\n" % line for line in lines))

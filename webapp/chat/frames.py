"""How one chunk travels: as a server-sent event, or as a line of NDJSON. Pure.

Owns the bytes that TanStack's published client reads. A chunk with an ``id`` can be resumed after: ``id:``
before ``data:``, or ``{id, chunk}``. Lines end with LF only: a published client loses an event when it is
handed a CR and its LF apart. Must not know where chunks come from.
"""

from __future__ import annotations

from typing import Final

import msgspec

NDJSON: Final = "application/x-ndjson"

BLANK_LINE: Final = b"\n"
"""What NDJSON has for a ping: readers skip it."""


def server_sent_event(chunk: bytes, *, id: str | None = None, event: str | None = None) -> bytes:
    """``chunk`` is JSON on one line; ``id`` and ``event`` are printable and without spaces around them."""
    name = b"" if event is None else b"event: %b\n" % event.encode()
    tag = b"" if id is None else b"id: %b\n" % id.encode()
    return b"%b%bdata: %b\n\n" % (name, tag, chunk)


def ndjson_line(chunk: bytes, *, id: str | None = None) -> bytes:
    """``chunk`` is JSON on one line."""
    return (chunk if id is None else envelope(chunk, id=id)) + b"\n"


def envelope(chunk: bytes, *, id: str) -> bytes:
    """A chunk with its id, where the transport has no place of its own for one."""
    return b'{"id":%b,"chunk":%b}' % (msgspec.json.encode(id), chunk)

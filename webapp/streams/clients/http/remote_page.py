"""A page of a stream on another server: its data as they came, between two offsets that are only names.

Pure. Knows the headers of a read and the fields of a control event, and nothing of how they arrived.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from webapp.streams.clients.base import ReadPage
from webapp.streams.protocol import content, json_mode, names
from webapp.streams.protocol.errors import StreamGone, StreamsUnavailable

_JSON_SPACE = b" \t\r\n"
_NO_PLACE = (names.OFFSET_BEGINNING, names.OFFSET_NOW)


class Control(msgspec.Struct, frozen=True, rename="camel"):
    """A ``control`` event of SSE."""

    stream_next_offset: str
    up_to_date: bool = False
    stream_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePage:
    """``data`` is what a read returns: a JSON array, or plain bytes. Offsets are the other server's own."""

    start: str
    next: str
    data: bytes
    content_type: str
    up_to_date: bool
    closed: bool = False

    @property
    def empty(self) -> bool:
        if content.is_json(self.content_type):
            return self.data.strip(_JSON_SPACE) in (b"", b"[]")
        return not self.data

    def body(self) -> bytes:
        return self.data

    def read_page(self) -> ReadPage:
        """The same for the chat: message by message. Raises StreamsUnavailable if it is no JSON stream."""
        messages = () if self.empty else tuple(_messages(self.data))
        return ReadPage(messages, self.next, self.up_to_date, self.closed)


def from_reply(start: str, headers: Mapping[str, str], body: bytes, *, content_type: str = "") -> RemotePage:
    """The page of a 200 or 204. ``headers`` are by lower-case name; ``content_type`` is for replies that do
    not say. Raises StreamsUnavailable if this is no reply of a stream server, StreamGone if it goes back.
    """
    next_offset = headers.get(names.STREAM_NEXT_OFFSET.lower())
    if not next_offset:
        raise no_protocol()
    check_goes_on(start, next_offset)
    closed = _says(headers, names.STREAM_CLOSED)
    return RemotePage(
        start=start,
        next=next_offset,
        data=body,
        content_type=headers.get(names.CONTENT_TYPE.lower(), content_type),
        up_to_date=closed or _says(headers, names.STREAM_UP_TO_DATE),
        closed=closed,
    )


def from_events(
    start: str, data: Sequence[bytes], control: bytes, *, content_type: str, encoded: bool
) -> RemotePage:
    """The page of the ``data`` events (older servers send several) that one ``control`` event completes.

    ``encoded``: the data are base64. Raises StreamsUnavailable if they are not what the protocol says,
    StreamGone if they go back.
    """
    try:
        place = msgspec.json.decode(control, type=Control)
        pieces = [_decoded(piece) for piece in data] if encoded else data
    except (msgspec.DecodeError, binascii.Error):
        raise no_protocol() from None
    check_goes_on(start, place.stream_next_offset)
    if content.is_json(content_type) and data:
        # Looked through even if there is one: it goes to every reader.
        messages = [message for piece in pieces for message in _messages(piece)]
        body = pieces[0] if len(pieces) == 1 else json_mode.array(messages)
    else:
        body = b"".join(pieces)
    return RemotePage(
        start=start,
        next=place.stream_next_offset,
        data=body,
        content_type=content_type,
        up_to_date=place.up_to_date or place.stream_closed,
        closed=place.stream_closed,
    )


def check_goes_on(start: str, next_offset: str) -> None:
    """Raise StreamGone if a reader at ``start`` is told an offset before it. Offsets of one stream only grow:
    this is another by the same name, as on a server that lost its own and was asked to make it again.
    """
    if next_offset < start and start not in _NO_PLACE:
        raise StreamGone("The offset belongs to an earlier stream of this name.")


def join(pages: Sequence[RemotePage]) -> RemotePage:
    """Pages that follow each other as one."""
    last = pages[-1]
    if content.is_json(last.content_type):
        inside = (page.data.strip(_JSON_SPACE)[1:-1] for page in pages if not page.empty)
        data = b"[%b]" % b",".join(inside)
    else:
        data = b"".join(page.data for page in pages)
    return replace(last, start=pages[0].start, data=data)


def no_protocol() -> StreamsUnavailable:
    return StreamsUnavailable("What answered does not speak the protocol of a stream server.")


def _decoded(piece: bytes) -> bytes:
    return base64.b64decode(piece.replace(b"\n", b""), validate=True)


def _messages(array: bytes) -> list[bytes]:
    try:
        return [bytes(message) for message in msgspec.json.decode(array, type=list[msgspec.Raw])]
    except msgspec.DecodeError:
        raise no_protocol() from None


def _says(headers: Mapping[str, str], name: str) -> bool:
    return headers.get(name.lower(), "").strip().lower() == names.TRUE

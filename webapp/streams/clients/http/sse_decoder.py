"""Server-sent events, read: bytes in, in whatever pieces they come, whole events out.

The WHATWG rules on bytes, so that nothing but CR, LF and CRLF ends a line: string splitting would cut at
U+2028 and at control characters. Pure. What an event means is for the caller.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_EVENT = 64 * 1024 * 1024

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One dispatched event. ``data`` is its data lines joined with LF."""

    name: str
    data: bytes


class EventTooLarge(ValueError):
    """An event grew beyond what the decoder keeps."""


class SseDecoder:
    """Decodes one response. An event that is not finished by its blank line is never given out.

    ``max_event`` bounds, in bytes, what may be buffered for one event.
    """

    def __init__(self, *, max_event: int = MAX_EVENT) -> None:
        self._max_event = max_event
        self._line = bytearray()
        self._first_line = True
        self._after_cr = False
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that ``chunk`` completes. Raises EventTooLarge."""
        if self._after_cr and chunk:
            # The CR ended a line already; an LF that follows it, even in the next piece, belongs to it.
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        events: list[SseEvent] = []
        at = 0
        for end in _LINE_END.finditer(chunk):
            line = chunk[at : end.start()]
            if self._line:
                line = bytes(self._line) + line
                self._line.clear()
            at = end.end()
            event = self._take(line)
            if event is not None:
                events.append(event)
        self._line += chunk[at:]
        self._after_cr = chunk.endswith(b"\r")
        if self._size + len(self._line) > self._max_event:
            raise EventTooLarge(f"An event is larger than {self._max_event} bytes.")
        return events

    def _take(self, line: bytes) -> SseEvent | None:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            self._name = value
        elif field == b"data":
            self._data.append(value)
            self._size += len(value)
        return None

    def _dispatch(self) -> SseEvent | None:
        name, data = self._name, self._data
        self._name, self._data, self._size = b"", [], 0
        if not data:
            return None
        return SseEvent(name.decode(errors="replace") or "message", b"\n".join(data))

"""How a run's events travel: as server-sent events, as NDJSON, as WebSocket texts. Pure.

Owns the bytes that TanStack's published client reads: ``id:`` before ``data:``, or ``{id, chunk}``. Every
event has an id, so that a cut is resumed after exactly the last one. Lines end with LF only: a published
client loses an event when it is handed a CR and its LF apart. Must not know where events come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from webapp.chat import events
from webapp.chat.following import RunEvent
from webapp.streams.protocol import names, sse
from webapp.web.errors import Problem

PING = '{"type":"ping"}'
"""A WebSocket's heartbeat, which published clients skip."""
PONG = '{"type":"pong"}'


@dataclass(frozen=True, slots=True)
class Framing:
    """``ping`` is what is sent when there is nothing to say; readers skip it."""

    content_type: str
    encode: Callable[[RunEvent], bytes]
    ping: bytes


def _event(event: RunEvent) -> bytes:
    return b"id: %b\ndata: %b\n\n" % (event.id.encode(), event.body)


def _line(event: RunEvent) -> bytes:
    return _envelope(event) + b"\n"


def socket_text(event: RunEvent) -> str:
    """The text of a WebSocket message."""
    return _envelope(event).decode()


def refused_text(problem: Problem, run_id: object) -> str:
    """To a WebSocket message that was refused: a run's error that is no event of any run."""
    error: dict[str, Any] = {"type": events.RUN_ERROR, "message": problem.sentence, "code": problem.code}
    if isinstance(run_id, str):
        error["runId"] = run_id
    return events.encode(error).decode()


def _envelope(event: RunEvent) -> bytes:
    return b'{"id":%b,"chunk":%b}' % (msgspec.json.encode(event.id), event.body)


SERVER_SENT_EVENTS = Framing(names.EVENT_STREAM, _event, sse.PING)
NDJSON = Framing("application/x-ndjson", _line, b"\n")

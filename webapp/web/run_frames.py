"""How a run's events travel: as server-sent events, as NDJSON, as WebSocket texts. Pure.

Every event has an id, so that a cut is resumed after exactly the last one. The bytes of one are those of
``chat.frames``. Must not know where events come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from webapp.chat import events, frames
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


def socket_text(event: RunEvent) -> str:
    """The text of a WebSocket message."""
    return frames.envelope(event.body, id=event.id).decode()


def refused_text(problem: Problem, run_id: object) -> str:
    """To a WebSocket message that was refused: a run's error that is no event of any run."""
    error: dict[str, Any] = {"type": events.RUN_ERROR, "message": problem.sentence, "code": problem.code}
    if isinstance(run_id, str):
        error["runId"] = run_id
    return events.encode(error).decode()


SERVER_SENT_EVENTS = Framing(
    names.EVENT_STREAM, lambda event: frames.server_sent_event(event.body, id=event.id), sse.PING
)
NDJSON = Framing(frames.NDJSON, lambda event: frames.ndjson_line(event.body, id=event.id), frames.BLANK_LINE)

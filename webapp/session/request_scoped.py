"""Responses that carry a run themselves: server-sent events, or NDJSON.

Owns framing over time: what is said at once is sent at once, and silence is broken by pings. Nothing is
stored: whoever hangs up ends the run. Must not know streams.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from typing import Unpack

from webapp.agents.pieces import Piece
from webapp.chat import events
from webapp.chat.frames import BLANK_LINE, NDJSON, ndjson_line, server_sent_event
from webapp.session.listening import Listener
from webapp.session.replies import response
from webapp.session.runs import RunOptions, listen
from webapp.session.whole_run import WholeRun
from webapp.streams.asgi import Responder
from webapp.streams.protocol import names, sse

PING_INTERVAL = 15.0


def to_server_sent_events_response(
    stream: AsyncIterable[Piece],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    ping_interval: float = PING_INTERVAL,
    **options: Unpack[RunOptions],
) -> Responder:
    """A run as ``text/event-stream``, for TanStack's ``fetchServerSentEvents``.

    ``stream`` yields AG-UI events, strings, or both; the response is one whole run, by the same rules as in
    ``pipe_sanitized_chunks_to_stream``: begun once, ended once, and no exception's text in it. Each event is
    ``data: <json>`` and an empty line; after ``ping_interval`` seconds of silence a comment is sent.

    A client that hangs up ends the run: the source is cancelled and closed. ``headers`` outrank ours.
    ``options``: see ``RunOptions``.
    """
    body = to_server_sent_events_stream(stream, ping_interval=ping_interval, **options)
    return response(status, body, headers=_streaming(names.EVENT_STREAM, headers))


def to_http_stream_response(
    stream: AsyncIterable[Piece],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    ping_interval: float = PING_INTERVAL,
    **options: Unpack[RunOptions],
) -> Responder:
    """A run as ``application/x-ndjson``, for TanStack's ``fetchHttpStream``.

    Each event is a line of JSON; the ping is an empty line. Otherwise it is as
    ``to_server_sent_events_response``.
    """
    body = to_http_stream(stream, ping_interval=ping_interval, **options)
    return response(status, body, headers=_streaming(NDJSON, headers))


def to_server_sent_events_stream(
    stream: AsyncIterable[Piece], *, ping_interval: float = PING_INTERVAL, **options: Unpack[RunOptions]
) -> AsyncGenerator[bytes, None]:
    """The body of ``to_server_sent_events_response``, for a framework's own streaming response."""
    return _frames(*listen(stream, **options), server_sent_event, ping=sse.PING, interval=ping_interval)


def to_http_stream(
    stream: AsyncIterable[Piece], *, ping_interval: float = PING_INTERVAL, **options: Unpack[RunOptions]
) -> AsyncGenerator[bytes, None]:
    """The body of ``to_http_stream_response``, for a framework's own streaming response."""
    return _frames(*listen(stream, **options), ndjson_line, ping=BLANK_LINE, interval=ping_interval)


async def _frames(
    run: WholeRun,
    listener: Listener,
    encode: Callable[[bytes], bytes],
    *,
    ping: bytes,
    interval: float,
) -> AsyncGenerator[bytes, None]:
    try:
        batch = run.begin()
        while True:
            if batch:
                yield b"".join(encode(events.encode(event)) for event in batch)
            if listener.over:
                return
            batch = await listener.batch(patience=interval)
            if not batch and not listener.over:
                yield ping
    finally:
        await listener.aclose()


def _streaming(content_type: str, headers: Mapping[str, str] | None) -> dict[str, str]:
    return {"Content-Type": content_type, "X-Accel-Buffering": "no", **(headers or {})}

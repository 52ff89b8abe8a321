"""A live reply cut at any byte, arriving byte by byte: what was read and the rest make the log."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator

import pytest

from tests.support.sse import SseEvent, SseReader
from webapp.streams.engine import Engine
from webapp.streams.limits import StreamLimits
from webapp.streams.store.base import StreamStore
from webapp.streams.wire import WireRequest, WireResponse

LIMITS = StreamLimits(page_messages=2, page_bytes=40, ping_interval=0.01)
# A CR and an LF of two appends are one line break or two, as they happen to be read: events carry lines.
AWKWARD = (
    "plain",
    "a\r\nb\rc\n\nd",
    "\u2028\x85\x0b",
    "grüße 🙂 日本",
    "event: control\ndata:{}",
    "\n",
    "x\r",
)
BODIES = {
    # U+2028 and its like may stand in JSON as they are; line breaks may stand between tokens only.
    "application/json": [
        json.dumps([text, {"n": n}], ensure_ascii=False, indent=1).encode() for n, text in enumerate(AWKWARD)
    ],
    "text/plain": [text.encode() for text in AWKWARD],
    "application/octet-stream": [
        text.encode("utf-16") + bytes(range(n * 7)) for n, text in enumerate(AWKWARD)
    ],
}


async def ask(engine: Engine, method: str, body: bytes = b"", **fields: str) -> WireResponse:
    query = tuple((name, value) for name, value in fields.items() if name in ("offset", "live"))
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return await engine.handle(WireRequest(method=method, path="s", query=query, headers=headers, body=body))


def as_lines(text: str) -> str:
    """Text as events carry it: by lines, whatever ended them."""
    return re.sub(r"\r\n|\r", "\n", text)


class Reader:
    """A client as it should be: data counts once its control event is there."""

    def __init__(self, content_type: str) -> None:
        self.offset = "-1"
        self.taken: list[object] = []
        self.closed = False
        self._type = content_type
        self._sse = SseReader()
        self._pending: list[object] = []

    def feed(self, piece: bytes) -> None:
        for event in self._sse.feed(piece):
            if event.event == "data":
                self._pending += self._decoded(event)
            elif event.event == "control":
                control = event.json()
                self.offset, self.closed = control["streamNextOffset"], "streamClosed" in control
                self.taken += self._pending
                self._pending = []

    def _decoded(self, event: SseEvent) -> list[object]:
        if self._type == "application/json":
            items: list[object] = event.json()
            return items
        text = event.data if self._type == "text/plain" else base64.b64decode(event.data).decode("latin-1")
        return list(text)


async def session(engine: Engine, offset: str) -> AsyncIterator[bytes]:
    reply = await ask(engine, "GET", offset=offset, live="sse")
    assert reply.status == 200
    assert not isinstance(reply.body, bytes)
    async for frame in reply.body:
        yield frame


@pytest.mark.parametrize("content_type", BODIES)
async def test_a_session_cut_anywhere_is_resumed_without_a_gap(store: StreamStore, content_type: str) -> None:
    engine = Engine(store, limits=LIMITS)
    bodies = BODIES[content_type]
    await ask(engine, "PUT", content_type=content_type)
    early, late = bodies[:4], bodies[4:]
    for body in early:
        assert (await ask(engine, "POST", body, content_type=content_type)).status == 204

    async def write_on() -> None:
        for body in late:
            await asyncio.sleep(0.02)
            await ask(engine, "POST", body, content_type=content_type)
        await ask(engine, "POST", stream_closed="true")

    writing = asyncio.create_task(write_on())
    recorded = b"".join([frame async for frame in session(engine, "-1")])
    await writing
    match content_type:
        case "application/json":
            log: list[object] = [item for body in bodies for item in json.loads(body)]
        case "text/plain":
            log = [character for body in bodies for character in as_lines(body.decode())]
        case _:
            log = [character for body in bodies for character in body.decode("latin-1")]

    rests: dict[str, list[object]] = {}
    reader = Reader(content_type)
    for at in range(len(recorded) + 1):
        reader.feed(recorded[at - 1 : at] if at else b"")
        if reader.offset not in rests:
            again = Reader(content_type)
            async for frame in session(engine, reader.offset):
                again.feed(frame)
            assert again.closed
            rests[reader.offset] = again.taken
        assert reader.taken + rests[reader.offset] == log, f"cut after byte {at}"
    assert reader.closed
    assert len(rests) > 3

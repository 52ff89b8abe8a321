"""Our HTTP/1.1 server on a real socket with a site that does what a test says, and callers who send bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

from tests.support.raw_http import Reply, parse
from webapp.streams.http1 import HttpServer
from webapp.streams.limits import Slot, Slots, StreamLimits
from webapp.streams.protocol import replies
from webapp.streams.protocol.errors import InvalidRequest, PayloadTooLarge, RequestTimeout
from webapp.streams.wire import Headers, RequestHead, WireResponse

Answer = Callable[[RequestHead, bytes], Any]


class TestSite:
    """Answers with what it was asked, or as ``answers`` says for the path."""

    __test__ = False
    headers: Headers = (("X-Site", "test"),)

    def __init__(self, **limits: Any) -> None:
        self.limits = StreamLimits(**limits)
        self.slots = Slots()
        self.asked: list[tuple[str, str]] = []
        self.answers: dict[str, Answer] = {}
        self.cancelled = 0

    def answer_early(self, head: RequestHead) -> WireResponse | None:
        if head.path == "/early":
            return replies.refused(InvalidRequest("No."))
        if int(head.headers.get("content-length", "0")) > self.limits.max_append_bytes:
            return self.too_large()
        return None

    def too_large(self) -> WireResponse:
        return replies.refused(PayloadTooLarge("Too large."))

    def too_slow(self) -> WireResponse:
        return replies.refused(RequestTimeout("Too slow."))

    def claim(self, head: RequestHead) -> Slot | None:
        return self.slots.claim("anybody", head.path) if "slot" in head.query else None

    async def answer(self, head: RequestHead, body: bytes) -> WireResponse:
        self.asked.append((head.method, head.path))
        try:
            if (answer := self.answers.get(head.path)) is not None:
                found = await answer(head, body)
                assert isinstance(found, WireResponse)
                return found
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        told = {"method": head.method, "path": head.path, "query": head.query, "body": body.decode()}
        headers = (("Content-Type", "application/json"), ("X-Asked", head.headers.get("x-ask", "")))
        return WireResponse(status=200, headers=headers, body=json.dumps(told).encode())


class Caller:
    """One connection, as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def reply(self) -> Reply:
        """The next reply that has a length or no body."""
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            found = parse(head)
            body = await self.reader.readexactly(int(found.headers.get("content-length", "0")))
        return Reply(found.status, found.headers, body)

    async def rest(self) -> bytes:
        async with asyncio.timeout(10):
            return await self.reader.read()

    async def hang_up(self) -> None:
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


class House:
    def __init__(self, site: TestSite, server: HttpServer, port: int, stack: AsyncExitStack) -> None:
        self.site = site
        self.server = server
        self.port = port
        self._stack = stack

    async def call(self, data: bytes = b"") -> Caller:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        caller = Caller(reader, writer)
        self._stack.push_async_callback(caller.hang_up)
        caller.send(data)
        return caller


def get(path: str, *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: here", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def never(head: RequestHead, body: bytes) -> WireResponse:
    await asyncio.Event().wait()
    raise AssertionError

"""Streams over ASGI: one reply (``Responder``) and the whole service (``StreamsApp``).

Owns sockets' manners: a reader that has gone is noticed, one that does not read is dropped, a slot is held
for as long as the reply lasts, and no task outlives its request. What is replied is the engine's affair.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from webapp.streams.limits import Slot, SlotsExhausted
from webapp.streams.protocol.errors import StreamError
from webapp.streams.service import StreamsService, too_many_readers
from webapp.streams.signals import Signal
from webapp.streams.wire import Headers, RequestHead, WireResponse

ASGIScope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Answer: TypeAlias = Callable[[], Awaitable[WireResponse]]

SLICE = 64 * 1024
"""The most that is handed to the transport at once; the next slice waits until this one is on its way."""


_ASK_AGAIN = WireResponse(status=503, headers=(("Retry-After", "1"),))


class _Gone(Exception):
    """The client has gone, reads too slowly to be waited for, or is to be cut off."""


class Responder:
    """An ASGI app that sends one reply.

    ``response`` is the reply, or a function that awaits it (a long-poll), called once the slot is held.
    ``slot`` claims a slot and may raise SlotsExhausted, which is answered with 429 or 503. ``until`` breaks
    the reply off when it fires, as the slot's own ``cut`` does; one that has not begun is answered with 503.
    ``write_timeout`` is in seconds, for one write. ``headers`` are sent in addition to the reply's own.
    """

    def __init__(
        self,
        response: WireResponse | Answer,
        *,
        slot: Callable[[], Slot | None] | None = None,
        until: Signal | None = None,
        write_timeout: float,
        headers: Headers = (),
    ) -> None:
        self._response = response
        self._slot = slot
        self._until = until
        self._begun = False
        self._write_timeout = write_timeout
        self._headers = headers

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        slot: Slot | None = None
        response = self._response
        try:
            slot = None if self._slot is None else self._slot()
        except SlotsExhausted as exhausted:
            response = too_many_readers(exhausted)
        own = None if slot is None else slot.cut
        cuts = [each for each in (own, self._until) if each is not None]
        cutter: asyncio.Future[None] | None = None
        try:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(_watch(receive, cuts))
                if cuts:
                    await asyncio.sleep(0)  # a task that has not begun cannot say why it was cancelled
                    cutter = _then(watcher.cancel)
                    for cut in cuts:
                        cut.join(cutter)
                        if cut.fired:
                            raise _Gone
                if not isinstance(response, WireResponse):
                    response = await response()
                await self._transmit(response, scope, send)
                watcher.cancel()
        except* _Gone:
            # Nobody is there to be told; a reply that was begun ends with its connection.
            if self._until is not None and self._until.fired and not self._begun:
                await self._transmit(_ASK_AGAIN, scope, send)
        finally:
            for cut in cuts:
                if cutter is not None:
                    cut.leave(cutter)
            if slot is not None:
                slot.release()

    async def _transmit(self, response: WireResponse, scope: ASGIScope, send: Send) -> None:
        body = response.body
        headers = [*response.headers, *self._headers]
        if isinstance(body, bytes) and scope["method"] != "HEAD" and response.status not in (204, 304):
            headers.append(("Content-Length", str(len(body))))
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._begun = True
        try:
            await self._send(
                send, {"type": "http.response.start", "status": response.status, "headers": encoded}
            )
            try:
                async for piece in _pieces(body):
                    await self._send(send, {"type": "http.response.body", "body": piece, "more_body": True})
            except StreamError:
                return  # unfinished, so that the server cuts the connection and half is not taken for whole
            await self._send(send, {"type": "http.response.body", "body": b""})
        finally:
            if not isinstance(body, bytes) and (close := getattr(body, "aclose", None)):
                await close()

    async def _send(self, send: Send, message: Message) -> None:
        try:
            async with asyncio.timeout(self._write_timeout):
                await send(message)
        except TimeoutError:
            raise _Gone from None
        # A server's send() may return at once when the client has gone, and a page from memory awaits
        # nothing: without this the watcher would never run, nor would anything else.
        await asyncio.sleep(0)


class StreamsApp:
    """A StreamsService as an ASGI app."""

    def __init__(self, service: StreamsService) -> None:
        self._service = service

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"Streams are served over HTTP, not {scope['type']}.")
        service, head = self._service, _head(scope)
        slot = None
        response: WireResponse | Answer | None = service.answer_early(head)
        if response is None:
            try:
                response = await self._answer(head, receive)
            except _Gone:
                return
            slot = partial(service.claim, head)
        respond = Responder(
            response, slot=slot, write_timeout=service.limits.write_timeout, headers=service.headers
        )
        await respond(scope, receive, send)

    async def _answer(self, head: RequestHead, receive: Receive) -> WireResponse | Answer:
        """The reply, as far as it can be told once the body is here."""
        limits = self._service.limits
        body = bytearray()
        try:
            async with asyncio.timeout(limits.body_timeout):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > limits.max_append_bytes:
                        return self._service.too_large()
        except TimeoutError:
            return self._service.too_slow()
        return partial(self._service.answer, head, bytes(body))


def drop_stalled(listener: socket.socket, *, seconds: float) -> None:
    """Let the kernel cut connections whose peer takes no data for ``seconds``; they inherit it from
    ``listener``.

    A Responder that gives up on a reader can only ask its server to close, and servers first flush what the
    reader will never take. Does nothing where the system has no such option.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        listener.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))


async def _watch(receive: Receive, cuts: Sequence[Signal]) -> None:
    """Raise _Gone once the client has hung up, or this is cancelled because one of ``cuts`` fired."""
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except asyncio.CancelledError:
        if not any(cut.fired for cut in cuts):
            raise
    raise _Gone


def _then(act: Callable[[], object]) -> asyncio.Future[None]:
    """Calls ``act`` once it is resolved: for one reader among thousands a future is cheaper than a task."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiter.add_done_callback(lambda _: act())
    return waiter


async def _pieces(body: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A body in pieces that fit a transport's buffer; a frame of a live body is one piece if it fits."""
    if isinstance(body, bytes):
        for at in range(0, len(body), SLICE):
            yield body[at : at + SLICE]
        return
    async for frame in body:
        for at in range(0, len(frame), SLICE):
            yield frame[at : at + SLICE]


def _head(scope: ASGIScope) -> RequestHead:
    client = scope.get("client")
    # scope["path"] is decoded, and frameworks that mount an app may add a slash to it.
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    return RequestHead(
        method=scope["method"],
        path=raw_path.decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=_headers(scope),
        client=client[0] if client else "",
        scheme=scope.get("scheme", "http"),
    )


def _headers(scope: ASGIScope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers

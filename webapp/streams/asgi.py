"""Streams over ASGI: one reply (``Responder``) and the whole server at a base path (``StreamsApp``).

Owns sockets' manners: a reader that has gone is noticed, one that does not read is dropped, a slot is held
for as long as the reply lasts, and no task outlives its request. What is replied is the engine's affair.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from webapp.streams.engine import Engine
from webapp.streams.limits import Scope, Slot, Slots, SlotsExhausted
from webapp.streams.protocol import names, paths, replies
from webapp.streams.protocol.errors import (
    InvalidRequest,
    PayloadTooLarge,
    RequestTimeout,
    StreamError,
    StreamNotFound,
    Unauthorised,
)
from webapp.streams.wire import Headers, WireRequest, WireResponse

ASGIScope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Answer: TypeAlias = Callable[[], Awaitable[WireResponse]]

SLICE = 64 * 1024
"""The most that is handed to the transport at once; the next slice waits until this one is on its way."""


ANYONE = 1000
"""Live reads of one address, and of one stream: readers of a stream server are mostly other servers."""


class _Gone(Exception):
    """The client has gone, or reads too slowly to be waited for."""


class Responder:
    """An ASGI app that sends one reply.

    ``response`` is the reply, or a function that awaits it (a long-poll), called once the slot is held.
    ``slot`` claims a slot and may raise SlotsExhausted, which is answered with 429 or 503. ``write_timeout``
    is in seconds, for one write. ``headers`` are sent in addition to the reply's own.
    """

    def __init__(
        self,
        response: WireResponse | Answer,
        *,
        slot: Callable[[], Slot] | None = None,
        write_timeout: float,
        headers: Headers = (),
    ) -> None:
        self._response = response
        self._slot = slot
        self._write_timeout = write_timeout
        self._headers = headers

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        slot: Slot | None = None
        response = self._response
        try:
            slot = None if self._slot is None else self._slot()
        except SlotsExhausted as exhausted:
            response = _too_many(exhausted)
        try:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(_watch(receive))
                if not isinstance(response, WireResponse):
                    response = await response()
                await self._transmit(response, scope, send)
                watcher.cancel()
        except* _Gone:
            pass  # nobody is there to be told
        finally:
            if slot is not None:
                slot.release()

    async def _transmit(self, response: WireResponse, scope: ASGIScope, send: Send) -> None:
        body = response.body
        headers = [*response.headers, *self._headers]
        if isinstance(body, bytes) and scope["method"] != "HEAD" and response.status not in (204, 304):
            headers.append(("Content-Length", str(len(body))))
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
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
    """The stream server at ``base_path``. Live reads of one client address share its slots.

    ``admit`` says by method and ``Authorization`` header whether a request is served. Open to every origin,
    because streams are addressed by unguessable paths or guarded by a token, which no browser adds by itself.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        base_path: str = "/v1/stream",
        slots: Slots | None = None,
        admit: Callable[[str, str | None], bool] = lambda method, authorization: True,
    ) -> None:
        self._engine = engine
        self._base_path = base_path
        self._slots = slots or Slots(per_principal=ANYONE, per_stream=ANYONE)
        self._admit = admit

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"Streams are served over HTTP, not {scope['type']}.")
        slot = None
        response: WireResponse | Answer
        try:
            if scope["method"] == "OPTIONS":
                response = _preflight()  # a browser asks it without a token
            elif not self._admit(scope["method"], _headers(scope).get(_AUTHORIZATION)):
                raise Unauthorised
            else:
                request = self._request(scope, await self._body(scope, receive))
                response = partial(self._answer, request, _url(scope))
                if any(item in _LIVE for item in request.query):
                    slot = partial(self._slots.claim, _client(scope), request.path)
        except _Gone:
            return
        except StreamError as refusal:
            response = replies.refused(refusal)
        respond = Responder(
            response,
            slot=slot,
            write_timeout=self._engine.limits.write_timeout,
            headers=_BROWSER_HEADERS,
        )
        await respond(scope, receive, send)

    async def _answer(self, request: WireRequest, url: str) -> WireResponse:
        response = await self._engine.handle(request)
        if response.status == 201:
            return replace(response, headers=(*response.headers, (names.LOCATION, url)))
        return response

    def _request(self, scope: ASGIScope, body: bytes) -> WireRequest:
        path = paths.below(self._base_path, _raw_path(scope))
        if path is None:
            raise StreamNotFound
        headers = _headers(scope)
        source = headers.get(_FORKED_FROM)
        if source is not None:
            headers[_FORKED_FROM] = paths.below(self._base_path, source) or ""
        try:
            query = tuple(
                parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=32)
            )
        except ValueError:
            raise InvalidRequest("There are too many parameters.") from None
        return WireRequest(method=scope["method"], path=path, query=query, headers=headers, body=body)

    async def _body(self, scope: ASGIScope, receive: Receive) -> bytes:
        """The whole request body, within the limits of size and time."""
        limits = self._engine.limits
        announced = _headers(scope).get("content-length", "0")
        if not announced.isascii() or not announced.isdigit() or int(announced) > limits.max_append_bytes:
            raise PayloadTooLarge(f"A body holds at most {limits.max_append_bytes} bytes.")
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
                        raise PayloadTooLarge(f"A body holds at most {limits.max_append_bytes} bytes.")
        except TimeoutError:
            raise RequestTimeout(f"The body did not arrive within {limits.body_timeout:g} s.") from None
        return bytes(body)


_AUTHORIZATION = names.AUTHORIZATION.lower()
_FORKED_FROM = names.STREAM_FORKED_FROM.lower()
_LIVE = ((names.QUERY_LIVE, names.LIVE_SSE), (names.QUERY_LIVE, names.LIVE_LONG_POLL))
_BROWSER_HEADERS: Headers = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", ", ".join(names.EXPOSED_HEADERS)),
)


def drop_stalled(listener: socket.socket, *, seconds: float) -> None:
    """Let the kernel cut connections whose peer takes no data for ``seconds``; they inherit it from
    ``listener``.

    A Responder that gives up on a reader can only ask its server to close, and servers first flush what the
    reader will never take. Does nothing where the system has no such option.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        listener.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1000))


async def _watch(receive: Receive) -> None:
    """Raise _Gone once the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
    raise _Gone


async def _pieces(body: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A body in pieces that fit a transport's buffer; a frame of a live body is one piece if it fits."""
    if isinstance(body, bytes):
        for at in range(0, len(body), SLICE):
            yield body[at : at + SLICE]
        return
    async for frame in body:
        for at in range(0, len(frame), SLICE):
            yield frame[at : at + SLICE]


def _too_many(exhausted: SlotsExhausted) -> WireResponse:
    body = json.dumps({"error": str(exhausted), "code": "too-many-readers"})
    headers = ((names.CONTENT_TYPE, names.JSON), (names.RETRY_AFTER, str(math.ceil(exhausted.retry_after))))
    status = 503 if exhausted.scope is Scope.TOTAL else 429
    return WireResponse(status=status, headers=headers, body=body.encode())


def _preflight() -> WireResponse:
    return WireResponse(
        status=204,
        headers=(
            ("Access-Control-Allow-Methods", replies.METHODS),
            ("Access-Control-Allow-Headers", ", ".join(names.REQUEST_HEADERS)),
            ("Access-Control-Max-Age", "86400"),
        ),
    )


def _headers(scope: ASGIScope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _raw_path(scope: ASGIScope) -> str:
    # scope["path"] is decoded, and frameworks that mount an app may add a slash to it.
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("latin-1")


def _url(scope: ASGIScope) -> str:
    return f"{scope.get('scheme', 'http')}://{_headers(scope).get('host', '')}{_raw_path(scope)}"


def _client(scope: ASGIScope) -> str:
    client = scope.get("client")
    return client[0] if client else ""

"""Running an ASGI app on a socket until a signal, and stopping it cleanly.

Owns the socket, uvicorn and the signals. Must not know what it serves: the caller hands over an app, its
lifespan and what to do at the first signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from webapp.settings import ServerSettings
from webapp.streams.asgi import drop_stalled

ASGIApp: TypeAlias = Callable[..., Any]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CannotListen(Exception):
    """The address cannot be bound. The text is one line for whoever chose it."""


def bind(host: str, port: int, *, stall_timeout: float) -> socket.socket:
    """A bound socket; port 0 lets the system choose. Raises CannotListen.

    A connection whose peer takes no data for ``stall_timeout`` seconds is cut.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    drop_stalled(bound, seconds=stall_timeout)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"Port {port} on {host} is in use. Choose another one with --port.") from None
        raise CannotListen(f"Cannot listen on {host}:{port}: {error.strerror or error}.") from None
    return bound


class _Server(uvicorn.Server):
    """uvicorn, but every signal calls ``on_signal``, until the app is closed and not only while it serves.

    uvicorn waits for open requests before it tells the app anything, and live replies never end by
    themselves; and a signal after the last request would kill the process before running answers were closed.
    """

    def __init__(
        self, config: uvicorn.Config, *, on_ready: Callable[[], None], on_signal: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_signal = on_signal

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # serve() below captures them, for longer

    def listen_to_signals(self) -> None:
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._handle)

    def ignore_signals(self) -> None:
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _handle(self) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
        self._on_signal()


def websockets(message: int | None) -> dict[str, Any]:
    """uvicorn's options for WebSockets: messages of so many bytes, or none at all.

    They are not compressed: it costs more than it saves on small messages, and shows through to whoever can
    have text of theirs compressed together with another's.
    """
    if message is None:
        return {"ws": "none"}
    return {"ws": _WebSocket, "ws_max_size": message, "ws_per_message_deflate": False}


class _WebSocket(WebSocketsSansIOProtocol):
    """uvicorn's, but a handshake that is answered with a refusal is over: there it is logged as an error."""

    async def send(self, message: Any) -> None:
        await super().send(message)
        self.handshake_complete = self.handshake_complete or self.close_sent


def _bounded(app: ASGIApp, connections: Callable[[], int], limit: int) -> ASGIApp:
    """``app``, but no WebSocket at ``limit`` connections: uvicorn counts those and refuses only requests."""

    async def bounded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and connections() >= limit:
            await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b""})
            return
        await app(scope, receive, send)

    return bounded


async def serve(
    app: ASGIApp,
    *,
    listen: socket.socket,
    lifespan: AbstractAsyncContextManager[None],
    on_ready: Callable[[], None],
    on_signal: Callable[[], None],
    settings: ServerSettings,
    keep_alive: int = 5,
    socket_message: int | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. Errors of the lifespan come out as they are, before anything is served.

    WebSockets are served if ``socket_message``, the bytes that one message may have, is given. An idle
    connection is kept for ``keep_alive`` seconds. Open requests get ``settings.shutdown_grace``, or
    none after a second signal; then the lifespan closes in its own time. ``on_signal`` is called at each
    signal.
    """
    config = uvicorn.Config(
        _bounded(app, lambda: len(server.server_state.connections), settings.concurrency),
        http="httptools",
        **websockets(socket_message),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        limit_concurrency=settings.concurrency,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace)),
    )
    server = _Server(config, on_ready=on_ready, on_signal=on_signal)
    try:
        async with lifespan:
            server.listen_to_signals()
            await server.serve(sockets=[listen])
    finally:
        server.ignore_signals()

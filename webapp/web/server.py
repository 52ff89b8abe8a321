"""Serving on a socket until a signal, and stopping cleanly: an ASGI app by uvicorn, a site by ourselves.

Owns the socket, uvicorn and the signals. Must not know what it serves: the caller hands over an app or a
site, its lifespan and what to do at the first signal.
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
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from webapp.settings import ServerSettings
from webapp.streams.asgi import drop_stalled
from webapp.streams.http1 import HttpLimits, HttpServer, Site
from webapp.web.proxied import VIA_PROXY

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
    """uvicorn that says when it is ready and leaves signals to us: it would let go of them while the app is
    still closing, and a signal then would kill the process before running answers were closed.
    """

    def __init__(self, config: uvicorn.Config, *, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Stop; at once if it had been told before."""
        self.force_exit = self.should_exit
        self.should_exit = True


@contextlib.contextmanager
def _on_signals(*actions: Callable[[], None]) -> Iterator[None]:
    """Do ``actions`` at each SIGINT and SIGTERM."""
    loop = asyncio.get_running_loop()

    def act() -> None:
        for action in actions:
            action()

    for number in _SIGNALS:
        loop.add_signal_handler(number, act)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def websockets(message: int) -> dict[str, Any]:
    """uvicorn's options for WebSockets with messages of at most so many bytes.

    They are not compressed: it costs more than it saves on small messages, and shows through to whoever can
    have text of theirs compressed together with another's.
    """
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


def _behind(app: ASGIApp, proxies: str) -> ASGIApp:
    """``app`` with what ``proxies`` say of their clients, and a mark on what has come through one of them:
    afterwards the scope tells of the client only.
    """
    believing = ProxyHeadersMiddleware(app, trusted_hosts=proxies)

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        client = scope.get("client")
        scope[VIA_PROXY] = client is not None and client[0] in believing.trusted_hosts
        await believing(scope, receive, send)

    return behind


async def serve(
    app: ASGIApp,
    *,
    listen: socket.socket,
    lifespan: AbstractAsyncContextManager[None],
    on_ready: Callable[[], None],
    on_signal: Callable[[], None],
    settings: ServerSettings,
    socket_message: int,
) -> None:
    """Serve until SIGINT or SIGTERM. Errors of the lifespan come out as they are, before anything is served.

    ``socket_message`` is how many bytes one message of a WebSocket may have. Open requests get
    ``settings.shutdown_grace``, or none after a second signal; then the lifespan closes in its own time.
    ``on_signal`` is called at each signal.
    """
    config = uvicorn.Config(
        _behind(
            _bounded(app, lambda: len(server.server_state.connections), settings.concurrency),
            settings.forwarded_allow_ips,
        ),
        http="httptools",
        **websockets(socket_message),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.concurrency,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace)),
    )
    server = _Server(config, on_ready=on_ready)
    async with contextlib.AsyncExitStack() as stack:
        # Signals outlast the lifespan: a second one hurries what closes in it.
        signals = contextlib.ExitStack()
        stack.enter_context(signals)
        await stack.enter_async_context(lifespan)
        signals.enter_context(_on_signals(server.stop, on_signal))
        await server.serve(sockets=[listen])


async def serve_site(
    site: AbstractAsyncContextManager[Site],
    *,
    listen: socket.socket,
    on_ready: Callable[[], None],
    on_signal: Callable[[], None],
    settings: ServerSettings,
) -> None:
    """Serve a site until SIGINT or SIGTERM, as ``serve`` does an app. Plain HTTP/1.1 without a proxy's
    headers.
    """
    stopping = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        signals = contextlib.ExitStack()
        stack.enter_context(signals)
        server = HttpServer(
            await stack.enter_async_context(site), limits=HttpLimits(connections=settings.concurrency)
        )

        def stop() -> None:
            if stopping.is_set():
                server.cut()
            stopping.set()

        signals.enter_context(_on_signals(stop, on_signal))
        await server.start(listen)
        on_ready()
        await stopping.wait()
        await server.aclose(grace=settings.shutdown_grace)

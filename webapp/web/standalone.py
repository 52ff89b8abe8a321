"""``durable-chat streams``: the Durable Streams server alone, with health routes. Plain ASGI."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from webapp.settings import Settings
from webapp.streams.asgi import ASGIScope, Receive, Responder, Send, StreamsApp
from webapp.streams.limits import Drain
from webapp.streams.wire import WireResponse
from webapp.web.embedded import open_engine
from webapp.web.security import STREAM_MOUNT
from webapp.web.stream_tokens import StreamTokens

_HEALTH = ("/healthz", "/readyz")


class StandaloneStreams:
    """An ASGI app that serves the protocol at ``/v1/stream`` while its lifespan is entered.

    ``in_memory`` keeps streams for as long as the lifespan lasts and touches no disk.
    """

    def __init__(self, settings: Settings, *, in_memory: bool = False) -> None:
        self._settings = settings
        self._in_memory = in_memory
        self._app: StreamsApp | None = None
        self.drain = Drain()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        opened = open_engine(self._settings, clock=time.time, drain=self.drain, in_memory=self._in_memory)
        async with opened as engine:
            admit = StreamTokens.of(self._settings.streams).admit
            self._app = StreamsApp(engine, base_path=STREAM_MOUNT, admit=admit)
            yield
            self._app = None

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if scope["path"] in _HEALTH:
            await self._health(scope, receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)

    async def _health(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """``/healthz`` is about the process, ``/readyz`` about whether to send it anyone."""
        draining = self.drain.is_set() and scope["path"] == "/readyz"
        response = WireResponse(
            status=503 if draining else 200,
            headers=(("Content-Type", "application/json"), ("Cache-Control", "no-store")),
            body=b'{"status":"draining"}' if draining else b'{"status":"ok"}',
        )
        timeout = self._settings.streams.write_timeout
        await Responder(response, write_timeout=timeout)(scope, receive, send)

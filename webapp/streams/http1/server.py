"""Listens, keeps the connections and the clock they share, and ends them.

One timer looks at all connections a few times a second. A timer for each would be made and cancelled with
every request, and would cost an idle reader more than all else that is kept of it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from webapp.streams.http1 import heads
from webapp.streams.http1.connection import Connection
from webapp.streams.http1.site import Site

TICK = 0.25
BACKLOG = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Bounds of connections; times in seconds."""

    keep_alive: float = 60.0
    """How long an idle connection is kept. The clients of a stream server pool theirs, and a pool that is
    older than the server's patience sends requests into a connection that is just being closed."""
    head_timeout: float = 15.0
    """How long the head of a request may take to arrive."""
    connections: int = 4096
    """Above this, requests are refused."""


class HttpServer:
    """Serves ``site``. Call ``start``, then ``aclose``."""

    def __init__(self, site: Site, *, limits: HttpLimits | None = None) -> None:
        limits = limits or HttpLimits()
        self.site = site
        self.common = heads.block(site.headers)
        self.date = ""
        self.write_timeout = site.limits.write_timeout
        self.body_timeout = site.limits.body_timeout
        self.head_timeout = limits.head_timeout
        self.keep_alive = limits.keep_alive
        self.stopping = False
        self._most = limits.connections
        self._connections: set[Connection] = set()
        self._listening: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self.time: Callable[[], float] = asyncio.get_running_loop().time

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def start(self, listen: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._tick()
        self._listening = await loop.create_server(lambda: Connection(self), sock=listen, backlog=BACKLOG)

    async def aclose(self, *, grace: float) -> None:
        """Take no more connections, let replies under way end for ``grace`` seconds, and cut the rest."""
        self.stopping = True
        if self._listening is not None:
            self._listening.close()
        for connection in list(self._connections):
            connection.finish()
        await self._wait_empty(grace)
        self.cut()
        await self._wait_empty(1.0)
        if self._timer is not None:
            self._timer.cancel()

    def cut(self) -> None:
        """Cut every connection."""
        for connection in list(self._connections):
            connection.abort()

    def enter(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._empty.clear()
        if self.stopping:
            connection.finish()

    def leave(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def crowded(self) -> bool:
        return len(self._connections) >= self._most

    async def _wait_empty(self, seconds: float) -> None:
        if self._connections:
            self._empty.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._empty.wait()
            except TimeoutError:
                pass

    def _tick(self) -> None:
        self.date = heads.block((("Date", formatdate(usegmt=True)),))
        now = self.time()
        for connection in list(self._connections):
            connection.check(now)
        self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

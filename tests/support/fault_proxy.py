"""A TCP proxy that breaks connections on command.

It runs its own event loop in its own thread, so that it can be steered from a test with or without a loop. It
knows nothing of HTTP: faults are counted in bytes and connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.support.waiting import free_port

T = TypeVar("T")
CHUNK = 64 * 1024


class _Link:
    """One accepted connection and its upstream twin."""

    def __init__(
        self,
        client: asyncio.StreamWriter,
        server: asyncio.StreamWriter,
        *,
        flowing: asyncio.Event,
        budget: int | None,
    ) -> None:
        self.client = client
        self.server = server
        self.flowing = flowing
        self.budget = budget  # bytes still to be passed to the client; None = no end

    def close(self) -> None:
        for writer in (self.client, self.server):
            writer.close()

    def lose(self) -> None:
        self.flowing = asyncio.Event()

    def reset(self) -> None:
        for writer in (self.client, self.server):
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class FaultProxy:
    """Listens on ``port`` and passes everything to ``127.0.0.1:target``, until told otherwise.

    All methods may be called from any thread and take effect before they return.

    ``cut`` closes what is open, ``reset`` does it with RST, ``down``/``up`` refuse connections in between,
    ``cut_after`` cuts the next connections after so many bytes, ``stall``/``flow`` hold bytes back without
    closing anything (half-open), ``lose`` does so for ever with what is open now. ``delay`` is seconds per
    chunk towards the client, ``split`` forwards every byte alone, ``buffer`` keeps a reply back until the
    server has closed it.
    """

    def __init__(self, target: int, *, port: int | None = None) -> None:
        self.target = target
        self.port = port or free_port()
        self.delay = 0.0
        self.split = False
        self.buffer = False
        self.accepted = 0
        self.passed = 0  # bytes towards clients
        self._budgets: list[int] = []
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_links(self) -> int:
        return len(self._links)

    def cut(self) -> None:
        """Close every open connection (FIN)."""
        self._call(lambda: self._each(_Link.close))

    def reset(self) -> None:
        """Close every open connection with RST."""
        self._call(lambda: self._each(_Link.reset))

    def cut_after(self, count: int, *, connections: int = 1) -> None:
        """Cut each of the next ``connections`` after ``count`` bytes of reply."""
        self._call(lambda: self._budgets.extend([count] * connections))

    def stall(self) -> None:
        """Pass nothing on, in either direction, and close nothing."""
        self._call(self._flowing.clear)

    def flow(self) -> None:
        """End a stall; what was held back is passed on."""
        self._call(self._flowing.set)

    def lose(self) -> None:
        """Pass nothing more on over what is open, and close none of it: the network has forgotten it."""
        self._call(lambda: self._each(_Link.lose))

    def down(self) -> None:
        """Refuse new connections and cut the open ones: the network is gone."""
        self._run(self._close_listener())
        self.cut()

    def up(self) -> None:
        """Accept connections again on the same port."""
        self._run(self._open_listener())

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def __enter__(self) -> Self:
        self._thread.start()
        self.flow()
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _open_listener(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _shut(self) -> None:
        await self._close_listener()
        while self._tasks:  # one may still be connecting to its server
            self._each(_Link.reset)
            self._each(lambda link: link.flowing.set())
            await asyncio.wait(self._tasks, timeout=0.05)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        budget = self._budgets.pop(0) if self._budgets else None
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link: _Link | None = None
        try:
            upstream, server = await asyncio.open_connection("127.0.0.1", self.target)
            link = _Link(writer, server, flowing=self._flowing, budget=budget)
            self._links.add(link)
            # The first direction to end takes the other with it: HTTP has no use for half-closed sockets.
            pumps = [
                asyncio.ensure_future(self._upwards(reader, link)),
                asyncio.ensure_future(self._downwards(upstream, link)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass
        finally:
            if link is not None:
                self._links.discard(link)
                link.close()
            writer.close()
            self._tasks.discard(task)

    async def _upwards(self, reader: asyncio.StreamReader, link: _Link) -> None:
        while data := await reader.read(CHUNK):
            await link.flowing.wait()
            link.server.write(data)
            await link.server.drain()

    async def _downwards(self, reader: asyncio.StreamReader, link: _Link) -> None:
        held = b""
        while data := await reader.read(CHUNK):
            if self.buffer:
                held += data
                continue
            for piece in (data[i : i + 1] for i in range(len(data))) if self.split else (data,):
                await self._pass(piece, link)
                if link.budget == 0:
                    return
        if held:
            await self._pass(held, link)

    async def _pass(self, data: bytes, link: _Link) -> None:
        await link.flowing.wait()
        if self.delay:
            await asyncio.sleep(self.delay)
        if link.budget is not None:
            data = data[: link.budget]
            link.budget -= len(data)
        link.client.write(data)
        await link.client.drain()
        self.passed += len(data)
        await asyncio.sleep(0)  # lets a single byte leave on its own

    def _each(self, end: Callable[[_Link], None]) -> None:
        for link in list(self._links):
            end(link)

    def _call(self, action: Callable[[], object]) -> None:
        async def act() -> None:
            action()

        self._run(act())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

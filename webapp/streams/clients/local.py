"""A StreamClient for the engine in this process: straight to the store, with no HTTP in between.

Only ``forward`` speaks the protocol, because its caller passes the reply on to a browser.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress

from webapp.streams.clients.base import BEGINNING, AppendReceipt, ReadPage
from webapp.streams.engine import Engine
from webapp.streams.protocol import json_mode, names, offsets, paths
from webapp.streams.protocol.commands import Append, Create, ForkPoint
from webapp.streams.protocol.content import media_type
from webapp.streams.protocol.errors import InvalidRequest, PayloadTooLarge, StreamConflict, StreamGone
from webapp.streams.protocol.lifetimes import Lifetime
from webapp.streams.protocol.offsets import Offset
from webapp.streams.protocol.producers import ProducerTuple
from webapp.streams.signals import first
from webapp.streams.store.base import Page
from webapp.streams.wire import WireRequest, WireResponse


class LocalStreamClient:
    """Reads and writes the JSON streams of ``engine``. The engine's owner closes the store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.store

    async def ensure(self, path: str, *, content_type: str = names.JSON, ttl: int | None = None) -> str:
        command = Create(content_type=content_type, lifetime=Lifetime(ttl=ttl))
        try:
            outcome = await self._store.create(paths.check(path), command)
        except StreamConflict:
            # A fork is there, and not as it would be made here.
            record = await self._store.head(path)
            if record.fork is None or record.closed or media_type(record.content_type) != content_type:
                raise
            return str(record.tail)
        return str(outcome.record.tail)

    async def append(
        self,
        path: str,
        messages: Sequence[bytes],
        *,
        producer: ProducerTuple | None = None,
        close: bool = False,
    ) -> AppendReceipt:
        chunk = json_mode.pack(messages)
        if not chunk and not close:
            raise InvalidRequest("There is nothing to append.")
        if len(chunk) > self._engine.limits.max_append_bytes:
            raise PayloadTooLarge(f"One append holds at most {self._engine.limits.max_append_bytes} bytes.")
        command = Append(chunk=chunk, content_type=names.JSON, producer=producer, close=close)
        outcome = await self._store.append(path, command)
        return AppendReceipt(str(outcome.record.tail), outcome.duplicate)

    async def read(self, path: str, *, offset: str = BEGINNING) -> ReadPage:
        return _page(await self._engine.read(path, offsets.parse(offset)))

    async def tail(self, path: str, *, offset: str) -> AsyncGenerator[ReadPage, None]:
        where = offsets.parse(offset)
        while not self._engine.drain.is_set():
            ticket = self._store.ticket(path)
            page = await self._engine.read(path, where)
            if page.chunks or page.closed:
                yield _page(page)
            if page.closed:
                return
            where = page.next
            if page.up_to_date:
                await first(ticket, self._engine.drain)

    async def forward(self, request: WireRequest) -> WireResponse:
        return await self._engine.handle(request)

    async def fork(self, source: str, target: str, *, offset: str | None = None, sub_offset: int = 0) -> str:
        where = None if offset is None else offsets.parse(offset)
        point = ForkPoint(source, where if isinstance(where, Offset) else None, sub_offset)
        if point.offset is not None and sub_offset:
            # Here every place has a name, also one in the middle of what was appended at once.
            record = await self._store.head(source)
            with suppress(StreamGone):
                position = record.lineage.position(point.offset, tail=record.position) + sub_offset
                if position <= record.position:
                    point = ForkPoint(source, record.lineage.offset(position), 0)
        outcome = await self._store.create(paths.check(target), Create(fork=point))
        return str(outcome.record.tail)

    async def delete(self, path: str) -> None:
        await self._store.delete(path)

    async def aclose(self) -> None:
        """Nothing to let go of."""


def _page(page: Page) -> ReadPage:
    return ReadPage(
        messages=json_mode.unpack(page.chunks),
        next_offset=str(page.next),
        up_to_date=page.up_to_date,
        closed=page.closed,
    )

"""``durable-chat streams``: the Durable Streams server alone, with health routes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from webapp.settings import Settings
from webapp.streams.limits import Drain, Slot
from webapp.streams.service import StreamsService
from webapp.streams.wire import RequestHead, WireResponse
from webapp.web.embedded import open_engine
from webapp.web.security import STREAM_MOUNT
from webapp.web.stream_tokens import StreamTokens

_HEALTH = ("/healthz", "/readyz")


class StandaloneStreams(StreamsService):
    """The protocol at ``/v1/stream``. ``/healthz`` is about the process, ``/readyz`` about whether to send it
    anyone; both are open to everybody.
    """

    def answer_early(self, head: RequestHead) -> WireResponse | None:
        return None if head.path in _HEALTH else super().answer_early(head)

    def claim(self, head: RequestHead) -> Slot | None:
        return None if head.path in _HEALTH else super().claim(head)

    async def answer(self, head: RequestHead, body: bytes) -> WireResponse:
        if head.path not in _HEALTH:
            return await super().answer(head, body)
        draining = self.drain.is_set() and head.path == "/readyz"
        return WireResponse(
            status=503 if draining else 200,
            headers=(("Content-Type", "application/json"), ("Cache-Control", "no-store")),
            body=b'{"status":"draining"}' if draining else b'{"status":"ok"}',
        )


@asynccontextmanager
async def standalone_streams(
    settings: Settings, *, drain: Drain, in_memory: bool = False
) -> AsyncIterator[StandaloneStreams]:
    """The service over the data directory, or ``in_memory`` over a store that ends with it."""
    async with open_engine(settings, clock=time.time, drain=drain, in_memory=in_memory) as engine:
        admit = StreamTokens.of(settings.streams).admit
        yield StandaloneStreams(engine, base_path=STREAM_MOUNT, admit=admit)

"""An idempotent producer: keeps its place, repeats what may not have arrived, and knows when it is fenced.

Owns the producer tuple of one writer on one stream. Works over any StreamClient.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random

from webapp.streams.clients.base import (
    AppendReceipt,
    ProducerTuple,
    StaleEpoch,
    StreamClient,
    StreamError,
    StreamsUnavailable,
)
from webapp.streams.clients.retry import Retry


@dataclass(frozen=True, slots=True)
class _Batch:
    messages: tuple[bytes, ...]
    close: bool
    seq: int


class IdempotentProducer:
    """Appends to ``path`` as ``producer_id`` under ``epoch``, one append after the other.

    An append whose fate is unknown (every try failed, or the caller was cancelled) is kept and sent again,
    with the same tuple, before the next one: nothing is lost, doubled or overtaken.
    """

    def __init__(
        self,
        client: StreamClient,
        path: str,
        *,
        producer_id: str,
        epoch: int = 0,
        seq: int = 0,
        retry: Retry | None = None,
        rng: Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._path = path
        self._id = producer_id
        self._epoch = epoch
        self._next = seq
        self._retry = retry or Retry()
        self._rng = rng or Random()  # noqa: S311  (spreads load, guards nothing)
        self._sleep = sleep
        self._unsettled: _Batch | None = None
        self._lock = asyncio.Lock()

    @property
    def epoch(self) -> int:
        return self._epoch

    async def append(self, messages: Sequence[bytes], *, close: bool = False) -> AppendReceipt:
        """Append once, however often it takes. Raises StreamsUnavailable when all tries have failed,
        StaleEpoch when a newer writer has taken over, and whatever else the client raises.
        """
        async with self._lock:
            await self._settle()
            self._unsettled = _Batch(tuple(messages), close, self._next)
            return await self._send(self._unsettled)

    async def claim(self, messages: Sequence[bytes]) -> AppendReceipt:
        """Append as the first act of an epoch, above whichever epoch holds the stream now: it fences the
        writer before this one. What was unsettled is given up.
        """
        async with self._lock:
            while True:
                self._unsettled = _Batch(tuple(messages), False, 0)
                try:
                    return await self._send(self._unsettled)
                except StaleEpoch as stale:
                    self._epoch = stale.current_epoch + 1

    async def _settle(self) -> None:
        if self._unsettled is not None:
            await self._send(self._unsettled)

    async def _send(self, batch: _Batch) -> AppendReceipt:
        producer = ProducerTuple(self._id, self._epoch, batch.seq)
        for attempt in range(1, self._retry.attempts + 1):
            try:
                receipt = await self._client.append(
                    self._path, batch.messages, producer=producer, close=batch.close
                )
            except StreamsUnavailable as unavailable:
                if attempt == self._retry.attempts:
                    raise
                delay = self._retry.delay(attempt, floor=unavailable.retry_after, rng=self._rng)
                await self._sleep(delay)
            except StreamError:
                # Refused for good: this append did not happen and never will.
                self._unsettled = None
                raise
            else:
                self._unsettled = None
                self._next = batch.seq + 1
                return receipt
        raise AssertionError("attempts is at least 1")

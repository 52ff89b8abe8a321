"""An idempotent producer: the calls by which one writer writes to one stream.

Owns their order, and how long messages wait for company. The pipeline sends them (``pipeline``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from random import Random

from webapp.streams.clients.base import AppendReceipt, InvalidRequest, StaleEpoch, StreamClient
from webapp.streams.clients.producer.limits import ProducerLimits
from webapp.streams.clients.producer.line import Batch
from webapp.streams.clients.producer.pipeline import Pipeline
from webapp.streams.clients.retry import Retry


class IdempotentProducer:
    """Appends to ``path`` as ``producer_id``: every message once, in the order of the calls.

    ``append`` returns when its messages are durable. ``put`` returns once they are taken: they gather, and
    several appends are under way at once. ``flush`` waits for all of them.

    What is taken is sent until its fate is known, each time with the same tuple, whatever becomes of the
    caller. StreamsUnavailable says that all tries have failed; nothing is dropped, and the next call tries
    again. Every other error is for good: what it befell and all behind it will not be stored. Whoever waits
    for any of that is told, or else the next call is; then the producer goes on in its place. Only if a try
    that was never answered might still arrive there, it cannot, and raises the error until ``claim``.

    ``client`` sends an append with a producer tuple once and leaves it to us to repeat it. ``on_failure`` is
    called for a failure that nobody waits for.
    """

    def __init__(
        self,
        client: StreamClient,
        path: str,
        *,
        producer_id: str,
        epoch: int = 0,
        limits: ProducerLimits | None = None,
        retry: Retry | None = None,
        on_failure: Callable[[], None] = lambda: None,
        rng: Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = limits or ProducerLimits()
        self._pipeline = Pipeline(
            client,
            path,
            producer_id=producer_id,
            epoch=epoch,
            limits=self._limits,
            retry=retry or Retry(),
            on_failure=on_failure,
            rng=rng or Random(),  # noqa: S311  (spreads load, guards nothing)
            sleep=sleep,
        )
        self._turn = asyncio.Lock()  # fair: calls have their turns in the order they were made
        self._gathering: Batch | None = None

    @property
    def epoch(self) -> int:
        return self._pipeline.line.epoch

    async def append(self, messages: Sequence[bytes], *, close: bool = False) -> AppendReceipt:
        """Append ``messages`` in one piece, durable on return; ``close`` closes the stream with them.

        After StreamsUnavailable they are kept, and sent before whatever comes next.
        """
        if not messages and not close:
            raise InvalidRequest("There is nothing to append.")
        async with self._turn:
            await self._pipeline.ready()
            batch = self._send(messages, close=close)
        return await self._pipeline.receipt(batch)

    async def put(self, messages: Sequence[bytes]) -> None:
        """Take ``messages``; wait while too many others are unsent. If it raises, none of them is taken."""
        async with self._turn:
            await self._pipeline.until(self._is_bounded)
            line = self._pipeline.line
            for message in messages:
                line.add([message])
            self._pipeline.advance()
            if line.gathering not in (None, self._gathering):
                self._gathering = line.gathering
                loop = asyncio.get_running_loop()
                loop.call_later(self._limits.linger, self._lingered, self._gathering)

    async def room(self) -> None:
        """Return when what is put next can be sent at once. Raises as ``put`` does.

        For those who can make less of what they hold while they wait.
        """
        async with self._turn:
            await self._pipeline.until(lambda: self._pipeline.has_room)

    async def flush(self) -> None:
        """Return when all that was put is durable. Raises as ``append`` does."""
        async with self._turn:
            await self._pipeline.ready()
            self._pipeline.line.hurry()
            self._pipeline.advance()
            last = self._pipeline.line.last
        if last is not None:
            await self._pipeline.receipt(last)

    async def claim(self, messages: Sequence[bytes]) -> AppendReceipt:
        """Append ``messages`` as the first act of an epoch above all that the stream has seen of this
        producer: it fences every writer before. What this one has not stored yet is given up.
        """
        if not messages:
            raise InvalidRequest("There is nothing to append.")
        async with self._turn:
            while True:
                self._pipeline.begin(await self._pipeline.free_epoch(messages))
                batch = self._send(messages)
                try:
                    receipt = await self._pipeline.receipt(batch)
                except StaleEpoch:
                    continue
                # Stored before it was sent: somebody else has claimed the same epoch.
                if not receipt.duplicate or batch.unanswered:
                    return receipt

    async def aclose(self) -> None:
        """Stop at once. What is not durable may or may not become so: ``flush`` first if it is to be."""
        await self._pipeline.aclose()

    def _send(self, messages: Sequence[bytes], *, close: bool = False) -> Batch:
        batch = self._pipeline.line.add(messages, close=close)
        self._pipeline.line.hurry()
        self._pipeline.advance()
        return batch

    def _lingered(self, batch: Batch) -> None:
        batch.due = True
        self._pipeline.advance()

    def _is_bounded(self) -> bool:
        return self._pipeline.line.unsent <= self._limits.max_unsent_bytes

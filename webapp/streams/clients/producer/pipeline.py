"""Sends the batches of a line: several at once, each until its fate is known.

Owns the tasks and tries of one producer, and what follows from an answer. Must not know the calls that filled
the line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from random import Random

from webapp.streams.clients.base import (
    AppendReceipt,
    InvalidRequest,
    ProducerTuple,
    SequenceGap,
    StaleEpoch,
    StreamClient,
    StreamError,
    StreamsUnavailable,
)
from webapp.streams.clients.producer.limits import ProducerLimits
from webapp.streams.clients.producer.line import Batch, Line
from webapp.streams.clients.retry import Retry
from webapp.streams.protocol.producers import MAX_INTEGER
from webapp.streams.signals import Signal, first


class ProducerClosed(Exception):
    """The producer was closed and sends nothing more."""


class Pipeline:
    """Appends what ``line`` holds to ``path`` as ``producer_id``. Call ``advance`` when the line has changed.

    When all tries have failed it pauses: everything keeps its place and number, and ``ready`` ends the pause.

    A batch refused for good is struck out with all behind it, and ``ready`` lets the line go on in their
    place. Each try of them has to be answered for that: one that still arrived after its number was used
    again would be taken for what goes by that number now.
    """

    def __init__(
        self,
        client: StreamClient,
        path: str,
        *,
        producer_id: str,
        epoch: int,
        limits: ProducerLimits,
        retry: Retry,
        on_failure: Callable[[], None],
        rng: Random,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.line = Line(epoch, limits=limits)
        self._client = client
        self._path = path
        self._id = producer_id
        self._limits = limits
        self._retry = retry
        self._on_failure = on_failure
        self._rng = rng
        self._sleep = sleep
        self._couriers: dict[Batch, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # the couriers, and those that are being cancelled
        self._spacing: asyncio.TimerHandle | None = None
        self._moved = Signal()
        self._paused: StreamsUnavailable | None = None
        self._refusal: Exception | None = None
        self._untold = False
        self._struck: list[Batch] = []
        self._closed = False

    @property
    def has_room(self) -> bool:
        """Whether what joins the line now can be sent at once."""
        return self.line.open and len(self._couriers) < self._limits.max_in_flight

    async def ready(self) -> None:
        """End a pause, and see that the line can go on after a refusal.

        Raises a refusal that nobody was told of, or that the line cannot go on after.
        """
        while True:
            if self._closed:
                raise ProducerClosed
            if self._untold and self._refusal is not None:
                self._untold = False
                raise self._refusal
            couriers = [self._couriers[batch] for batch in self._struck if batch in self._couriers]
            if not couriers:
                break
            await asyncio.wait(couriers)
        if self._refusal is not None and any(batch.unanswered for batch in self._struck):
            raise self._refusal
        self._struck.clear()
        self._paused = None

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until ``met``. Raises as ``ready`` does, and StreamsUnavailable once all tries have failed."""
        await self.ready()
        self.advance()
        while not met():
            self.line.hurry()
            self.advance()
            await first(self._moved)
            if self._paused is not None:
                raise self._paused
            await self.ready()

    async def receipt(self, batch: Batch) -> AppendReceipt:
        """Wait until ``batch`` is stored, or raise why it is not."""
        waiter: asyncio.Future[AppendReceipt] = asyncio.get_running_loop().create_future()
        batch.waiters.append(waiter)
        return await waiter

    def advance(self) -> None:
        """Send what can be sent now."""
        if self._paused is None and not self._closed:
            left = (batch for batch in self.line.under_way if batch not in self._couriers)
            again = (batch for batch in left if self.line.may_repeat(batch))
            while self._spacing is None and len(self._couriers) < self._limits.max_in_flight:
                batch = next(again, None) or self.line.depart()
                if batch is None:
                    break
                self._send_off(batch)
        moved, self._moved = self._moved, Signal()
        moved.fire()

    async def free_epoch(self, messages: Sequence[bytes]) -> int:
        """An epoch above all that the stream has seen of this producer.

        A server tells when it refuses an append; this one has a number so high that each of them does.
        """
        producer = ProducerTuple(self._id, self.line.epoch + 1, MAX_INTEGER)
        failures = 0
        while not self._closed:
            try:
                await self._client.append(self._path, messages, producer=producer)
            except StaleEpoch as stale:
                return stale.current_epoch + 1
            except SequenceGap as gap:
                return producer.epoch if gap.expected == 0 else producer.epoch + 1
            except InvalidRequest:
                return producer.epoch  # the stream has seen a lower one
            except StreamsUnavailable as trouble:
                failures += 1
                if failures >= self._retry.attempts:
                    raise
                await self._back_off(failures, trouble)
        raise ProducerClosed

    def begin(self, epoch: int) -> None:
        """Go on with an empty line in ``epoch``; those who wait for what was in the line are told."""
        if self._closed:
            raise ProducerClosed
        for courier in self._couriers.values():
            courier.cancel()
        self._couriers.clear()
        fenced = StaleEpoch("The producer has claimed a newer epoch.", current_epoch=epoch)
        _tell(self.line.clear(), fenced)
        self.line = Line(epoch, limits=self._limits)
        self._struck.clear()
        self._paused = self._refusal = None
        self._untold = False

    async def aclose(self) -> None:
        """Stop at once, whatever is under way."""
        self._closed = True
        _tell(self.line.clear(), ProducerClosed())
        self.advance()
        if self._spacing is not None:
            self._spacing.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _send_off(self, batch: Batch) -> None:
        loop = asyncio.get_running_loop()
        self._spacing = loop.call_later(self._limits.spacing, self._spaced)
        self.line.sends(batch)
        courier = asyncio.create_task(self._deliver(batch))
        self._couriers[batch] = courier
        self._tasks.add(courier)
        courier.add_done_callback(partial(self._delivered, batch))

    def _spaced(self) -> None:
        self._spacing = None
        self.advance()

    async def _deliver(self, batch: Batch) -> None:
        """Send ``batch`` until there is an answer, or all tries have failed."""
        line = self.line
        producer = ProducerTuple(self._id, line.epoch, batch.seq)
        failures = 0
        while not batch.over:
            acknowledged = line.acknowledged
            batch.unanswered += 1
            try:
                receipt = await self._client.append(
                    self._path, batch.messages, producer=producer, close=batch.close
                )
            except StreamsUnavailable as trouble:
                if batch.over:
                    return
                failures += 1
                if failures >= self._retry.attempts:
                    self._pause(batch, trouble)
                    return
                await self._back_off(failures, trouble)
            except SequenceGap as gap:
                batch.unanswered -= 1
                if acknowledged <= gap.expected < batch.seq:
                    line.missed()
                    return
                self._refuse(batch, gap)  # the server has forgotten what it had acknowledged
            except Exception as refusal:
                if isinstance(refusal, StreamError):
                    batch.unanswered -= 1
                self._refuse(batch, refusal)
            else:
                batch.unanswered -= 1
                self._store(batch, receipt)

    def _delivered(self, batch: Batch, courier: asyncio.Task[None]) -> None:
        self._tasks.discard(courier)
        if self._couriers.get(batch) is courier:
            del self._couriers[batch]
            if courier.cancelled():
                self._pause(batch, StreamsUnavailable("The append was broken off."))
            elif self._paused is not None and not batch.over:
                _tell([batch], self._paused)  # it was overtaken, and is not sent again before the next call
        self.advance()

    async def _back_off(self, failures: int, trouble: StreamsUnavailable) -> None:
        await self._sleep(self._retry.delay(failures, floor=trouble.retry_after, rng=self._rng))

    def _store(self, batch: Batch, receipt: AppendReceipt) -> None:
        if batch.over:
            return
        for each in self.line.acknowledge(batch):
            # Those before it were stored by a try whose answer is late or lost.
            own = receipt if each is batch else AppendReceipt(receipt.offset, duplicate=True)
            for waiter in each.waiters:
                if not waiter.done():
                    waiter.set_result(own)

    def _refuse(self, batch: Batch, refusal: Exception) -> None:
        if batch.over:
            return
        struck = self.line.strike(batch)
        self._struck += struck
        self._refusal = refusal
        if not _tell(struck, refusal):
            self._untold = True
            self._on_failure()

    def _pause(self, batch: Batch, trouble: StreamsUnavailable) -> None:
        if batch.over:
            return
        self._paused = trouble
        # Nobody sends what was overtaken before it either.
        left = [each for each in self.line.under_way if each.seq < batch.seq and each not in self._couriers]
        left += self.line.behind(batch)
        for each in left:
            if (courier := self._couriers.pop(each, None)) is not None:
                courier.cancel()
        if not _tell(left, trouble):
            self._on_failure()


def _tell(batches: Iterable[Batch], error: Exception) -> bool:
    """Fail all who wait for any of ``batches``; whether there was anybody."""
    waiters = [waiter for batch in batches for waiter in batch.waiters if not waiter.done()]
    for waiter in waiters:
        waiter.set_exception(error)
    return bool(waiters)

"""Stream clients that do to appends what networks do, and what is stored in the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from webapp.streams.clients.base import (
    BEGINNING,
    AppendReceipt,
    ProducerTuple,
    SequenceGap,
    StreamClient,
    StreamsUnavailable,
)


async def stored(client: StreamClient, path: str = "s") -> list[bytes]:
    """Every message of a stream."""
    found: list[bytes] = []
    offset = BEGINNING
    while True:
        page = await client.read(path, offset=offset)
        found += page.messages
        if page.up_to_date:
            return found
        offset = page.next_offset


class Appends:
    """A client that notes what is appended; those derived from it interfere."""

    def __init__(self, inner: StreamClient) -> None:
        self.inner = inner
        self.sent: list[tuple[ProducerTuple, tuple[bytes, ...]]] = []
        """Every append with a producer tuple, in the order of sending."""
        self.under_way = 0
        self.most_under_way = 0
        self.gaps: Counter[int] = Counter()
        """How often each number was refused because one before it was missing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def numbers(self) -> list[int]:
        return [producer.seq for producer, _ in self.sent]

    async def append(
        self,
        path: str,
        messages: Sequence[bytes],
        *,
        producer: ProducerTuple | None = None,
        close: bool = False,
    ) -> AppendReceipt:
        assert producer is not None
        self.sent.append((producer, tuple(messages)))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self.interfere(path, messages, producer, close)
        except SequenceGap:
            self.gaps[producer.seq] += 1
            raise
        finally:
            self.under_way -= 1

    async def interfere(
        self, path: str, messages: Sequence[bytes], producer: ProducerTuple, close: bool
    ) -> AppendReceipt:
        """What happens to an append on its way. Nothing."""
        return await self.inner.append(path, messages, producer=producer, close=close)


class Held(Appends):
    """Every append waits until the test decides on it."""

    def __init__(self, inner: StreamClient) -> None:
        super().__init__(inner)
        self.waiting: list[tuple[int, asyncio.Future[str]]] = []

    @property
    def held(self) -> list[int]:
        """The numbers that wait, in the order of their arrival."""
        return [seq for seq, decision in self.waiting if not decision.done()]

    def decide(self, seq: int, decision: str = "store") -> None:
        """Let an append be stored and answered (``store``), stored (``mute``), or neither (``lose``)."""
        next(each for number, each in self.waiting if number == seq and not each.done()).set_result(decision)

    async def interfere(
        self, path: str, messages: Sequence[bytes], producer: ProducerTuple, close: bool
    ) -> AppendReceipt:
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiting.append((producer.seq, waiting))
        decision = await waiting
        if decision == "lose":
            raise StreamsUnavailable("lost", retry_after=0.0)
        receipt = await super().interfere(path, messages, producer, close)
        if decision == "mute":
            raise StreamsUnavailable("mute", retry_after=0.0)
        return receipt


class Shuffled(Appends):
    """Lets appends through in an order of its own: ``size`` at a time, when so many have come.

    An append that is repeated passes at once. Whoever sends keeps ``size`` under way and a multiple of it in
    all, or waits for ever.
    """

    def __init__(self, inner: StreamClient, *, rng: Random, size: int) -> None:
        super().__init__(inner)
        self._rng = rng
        self._size = size
        self._seen: set[ProducerTuple] = set()
        self._gathered: list[asyncio.Future[None]] = []
        self._one_by_one = asyncio.Lock()

    async def interfere(
        self, path: str, messages: Sequence[bytes], producer: ProducerTuple, close: bool
    ) -> AppendReceipt:
        if producer not in self._seen:
            self._seen.add(producer)
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._gathered.append(turn)
            if len(self._gathered) == self._size:
                self._rng.shuffle(self._gathered)
                for each in self._gathered:
                    each.set_result(None)
                self._gathered = []
            await turn
        async with self._one_by_one:  # else the wire might undo the order
            return await super().interfere(path, messages, producer, close)

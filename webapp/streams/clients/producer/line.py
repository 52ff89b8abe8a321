"""One epoch of a producer: its batches in their order, and the number each goes by.

Pure. Must not know clients, tasks or time.
"""

from __future__ import annotations

from asyncio import Future
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from webapp.streams.clients.base import AppendReceipt
from webapp.streams.clients.producer.limits import ProducerLimits


@dataclass(slots=True, eq=False)
class Batch:
    """The messages of one append."""

    messages: list[bytes] = field(default_factory=list)
    size: int = 0
    close: bool = False
    due: bool = False
    """It waits for no company any more."""
    seq: int = -1
    sent: int = 0
    """When it was sent last, as the line counts time."""
    over: bool = False
    """It is stored, or taken out."""
    unanswered: int = 0
    """How often it was sent without an answer. Any of those may still arrive."""
    waiters: list[Future[AppendReceipt]] = field(default_factory=list)


class Line:
    """Batches under way, in front, and those that wait behind them. The last of these may be gathering."""

    def __init__(self, epoch: int, *, limits: ProducerLimits) -> None:
        self.epoch = epoch
        self.acknowledged = 0
        """Every number below this one is stored."""
        self.under_way: list[Batch] = []
        self._waiting: deque[Batch] = deque()
        self._next = 0
        self._time = 0
        self._missed = 0
        self._limits = limits

    @property
    def unsent(self) -> int:
        """Bytes that wait."""
        return sum(batch.size for batch in self._waiting)

    @property
    def open(self) -> bool:
        """Whether what is added now could set out now."""
        return not self._waiting and not self._blocked

    @property
    def last(self) -> Batch | None:
        if self._waiting:
            return self._waiting[-1]
        return self.under_way[-1] if self.under_way else None

    @property
    def gathering(self) -> Batch | None:
        """The batch that waits for company."""
        return self._waiting[-1] if self._waiting and not self._waiting[-1].due else None

    def add(self, messages: Sequence[bytes], *, close: bool = False) -> Batch:
        """Put ``messages`` behind all others: together, and with the last that wait if there is room."""
        size = sum(map(len, messages))
        batch = self._waiting[-1] if self._waiting else None
        if batch is None or not self._has_room(batch, len(messages), size):
            if batch is not None:
                batch.due = True
            batch = Batch()
            self._waiting.append(batch)
        batch.messages += messages
        batch.size += size
        batch.close = close
        if not self._has_room(batch, 1, 1):
            batch.due = True
        return batch

    def hurry(self) -> None:
        """Nothing waits for company any more."""
        if self._waiting:
            self._waiting[-1].due = True

    def depart(self) -> Batch | None:
        """The next batch to set out, with its number; None if none may yet."""
        if not self._waiting or not self._waiting[0].due or self._blocked:
            return None
        batch = self._waiting.popleft()
        batch.seq = self._next
        self._next += 1
        self.under_way.append(batch)
        return batch

    def sends(self, batch: Batch) -> None:
        """``batch`` is being sent, for the first time or again."""
        self._time += 1
        batch.sent = self._time

    def missed(self) -> None:
        """The server has refused one that was under way, for want of one before it."""
        self._time += 1
        self._missed = self._time

    def may_repeat(self, batch: Batch) -> bool:
        """Whether all before ``batch`` are stored, or were sent again since it was sent itself.

        Otherwise it might well overtake them once more.
        """
        return all(each.sent > batch.sent for each in self.under_way if each.seq < batch.seq)

    def acknowledge(self, batch: Batch) -> list[Batch]:
        """``batch`` is stored, and so are those before it: no number is taken before the one below."""
        stored = [each for each in self.under_way if each.seq <= batch.seq]
        self.under_way = [each for each in self.under_way if each.seq > batch.seq]
        self.acknowledged = batch.seq + 1
        for each in stored:
            each.over = True
        return stored

    def behind(self, batch: Batch) -> list[Batch]:
        """``batch``, which is under way, and all after it."""
        return [each for each in self.under_way if each.seq >= batch.seq] + list(self._waiting)

    def strike(self, batch: Batch) -> list[Batch]:
        """Take out ``batch`` and all after it, whose numbers are free again."""
        struck = self.behind(batch)
        self._next = batch.seq
        self.under_way = [each for each in self.under_way if each.seq < batch.seq]
        self._waiting.clear()
        for each in struck:
            each.over = True
        return struck

    def clear(self) -> list[Batch]:
        """Take out everything."""
        everything = [*self.under_way, *self._waiting]
        self.under_way = []
        self._waiting.clear()
        for each in everything:
            each.over = True
        return everything

    @property
    def _blocked(self) -> bool:
        # A server refuses a new epoch, and for good, if another number than its first arrives first.
        if self.epoch > 0 and self.acknowledged == 0 and self.under_way:
            return True
        # Those that were under way when one was missed may have to come again, and new ones after them.
        return any(batch.sent < self._missed for batch in self.under_way)

    def _has_room(self, batch: Batch, count: int, size: int) -> bool:
        return (
            not batch.close
            and batch.size + size <= self._limits.max_batch_bytes
            and len(batch.messages) + count <= self._limits.max_batch_messages
        )

"""Bounds: how much, how long, how many. Also how a server says that it is going down.

``StreamLimits`` are numbers, ``Slots`` counts live readers and can cut them off, ``Drain`` ends live
replies. None of them knows what a stream is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import Enum

from webapp.streams.signals import Signal, first

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """Every bound of the stream server. Times are seconds, sizes bytes."""

    long_poll_timeout: float = 20.0
    """How long a long-poll waits for data before it answers 204."""
    ping_interval: float = 15.0
    """Silence after which an SSE reply sends a comment."""
    sse_lifetime: float = 60.0
    """After about this long (±10 %, so that readers do not all return at once) an SSE reply ends."""
    write_timeout: float = 20.0
    """How long one write to a reader may take before the reader is dropped."""
    body_timeout: float = 15.0
    """How long a request body may take to arrive."""
    max_append_bytes: int = 16 * MIB
    """The largest request body."""
    max_messages_per_append: int = 1000
    """The most messages one JSON append may bring."""
    max_json_depth: int = 64
    """How deep JSON may nest."""
    page_bytes: int = 512 * KIB
    """A page ends with the append that reaches this size; a page always holds at least one append."""
    page_messages: int = 5000
    """A page of a JSON stream ends with the append that reaches this many messages."""


class Drain(Signal):
    """Set once, when the server stops: live replies send a last control event and end."""

    __slots__ = ()

    def set(self) -> None:
        self.fire()

    def is_set(self) -> bool:
        return self.fired

    async def wait(self) -> None:
        await first(self)


class Scope(Enum):
    """Which bound was met."""

    PRINCIPAL = "principal"
    STREAM = "stream"
    TOTAL = "total"


class SlotsExhausted(Exception):
    """There are too many live readers. ``retry_after`` is in seconds."""

    def __init__(self, scope: Scope, *, retry_after: float = 5.0) -> None:
        super().__init__(f"Too many live readers ({scope.value}).")
        self.scope = scope
        self.retry_after = retry_after


class Slot:
    """The right to one live reply. ``release`` may be called any number of times.

    ``cut`` fires when the reply is to be broken off as a lost network would: unfinished, with nothing said.
    """

    __slots__ = ("_held", "_slots", "cut", "principal", "stream")

    def __init__(self, slots: Slots, principal: str, stream: str) -> None:
        self.principal = principal
        self.stream = stream
        self.cut = Signal()
        self._slots = slots
        self._held = True

    def release(self) -> None:
        if self._held:
            self._held = False
            self._slots.give_back(self)


class Slots:
    """Counts live readers per principal, per stream and in all."""

    def __init__(self, *, per_principal: int = 12, per_stream: int = 200, total: int = 2000) -> None:
        self._per_principal = per_principal
        self._per_stream = per_stream
        self._total = total
        self._principals: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()
        self._held: defaultdict[tuple[str, str], set[Slot]] = defaultdict(set)
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many slots are held now."""
        return self._taken

    def claim(self, principal: str, stream: str) -> Slot:
        """Take a slot; raise SlotsExhausted if a bound is met."""
        if self._taken >= self._total:
            raise SlotsExhausted(Scope.TOTAL)
        if self._streams[stream] >= self._per_stream:
            raise SlotsExhausted(Scope.STREAM)
        if self._principals[principal] >= self._per_principal:
            raise SlotsExhausted(Scope.PRINCIPAL)
        self._taken += 1
        self._streams[stream] += 1
        self._principals[principal] += 1
        slot = Slot(self, principal, stream)
        self._held[principal, stream].add(slot)
        return slot

    def cut(self, principal: str, stream: str) -> int:
        """Have every live reply of ``stream`` to ``principal`` broken off; how many that were."""
        live = [slot for slot in self._held.get((principal, stream), ()) if not slot.cut.fired]
        for slot in live:
            slot.cut.fire()
        return len(live)

    def give_back(self, slot: Slot) -> None:
        """Called by ``Slot.release``, once."""
        self._taken -= 1
        for counter, key in ((self._principals, slot.principal), (self._streams, slot.stream)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]
        held = self._held[slot.principal, slot.stream]
        held.discard(slot)
        if not held:
            del self._held[slot.principal, slot.stream]

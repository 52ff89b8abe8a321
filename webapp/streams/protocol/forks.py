"""Lineage: which incarnation wrote which part of a stream.

A fork copies nothing. It remembers the stretches it inherits, each with the generation that wrote it, and
adds its own data behind them; positions go on counting, so the two never overlap. A stream that is no fork is
the same thing with nothing inherited. Pure; stores decide where the data lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from webapp.streams.protocol.errors import InvalidRequest, StreamGone
from webapp.streams.protocol.offsets import START, Offset, Tail, Where


@dataclass(frozen=True, slots=True)
class Segment:
    """The units after position ``start`` up to and including ``stop``, written under ``generation``."""

    generation: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """``inherited`` segments, oldest first, then the stream's own data under ``generation``."""

    generation: int
    inherited: tuple[Segment, ...] = ()

    @property
    def start(self) -> int:
        """The position at which the stream's own data begins."""
        return self.inherited[-1].stop if self.inherited else 0

    def offset(self, position: int) -> Offset:
        """The offset of ``position``, the same in a fork and in its source."""
        for segment in self.inherited:
            if position <= segment.stop:
                return Offset(segment.generation, position)
        return Offset(self.generation, position)

    def position(self, where: Where, *, tail: int) -> int:
        """The position that ``where`` names in a stream which ends at ``tail``.

        Raises StreamGone when the offset was written by another incarnation or on the far side of a fork, and
        InvalidRequest when it lies beyond the tail.
        """
        if isinstance(where, Tail):
            return tail
        if where.generation == self.generation and self.start <= where.position <= tail:
            return where.position
        if where == START:
            return 0
        own = Segment(self.generation, self.start, tail)
        segment = next((s for s in (*self.inherited, own) if s.generation == where.generation), None)
        if segment is None or where.position < segment.start:
            raise StreamGone("The offset belongs to another stream or to an earlier one of this name.")
        if where.position > segment.stop:
            if segment is own:
                raise InvalidRequest("The offset lies beyond the end of the stream.")
            raise StreamGone("The offset belongs to the stream this one was forked from.")
        return where.position

    def segments(self, start: int, stop: int) -> Iterator[Segment]:
        """The stretches between two positions and who wrote them, in order and without empty ones."""
        for segment in (*self.inherited, Segment(self.generation, self.start, stop)):
            low, high = max(segment.start, start), min(segment.stop, stop)
            if low < high:
                yield Segment(segment.generation, low, high)

    def branch(self, position: int, *, generation: int) -> Lineage:
        """The lineage of a fork taken at ``position``."""
        every = (*self.inherited, Segment(self.generation, self.start, position))
        kept = [segment for segment in every if segment.start < position] or [every[0]]
        last = kept.pop()
        kept.append(Segment(last.generation, last.start, min(last.stop, position)))
        return Lineage(generation, tuple(kept))


def dump(lineage: Lineage) -> str:
    """The inherited part as text for a database column: ``generation:stop,…``; empty for a plain stream."""
    return ",".join(f"{segment.generation}:{segment.stop}" for segment in lineage.inherited)


def load(generation: int, text: str) -> Lineage:
    """The inverse of ``dump``."""
    segments: list[Segment] = []
    start = 0
    for item in filter(None, text.split(",")):
        writer, stop = map(int, item.split(":"))
        segments.append(Segment(writer, start, stop))
        start = stop
    return Lineage(generation, tuple(segments))

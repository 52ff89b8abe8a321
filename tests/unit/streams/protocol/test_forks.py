"""Lineage: a fork reads its source up to the fork point and itself after it, with one offset per position."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.streams.protocol import forks
from webapp.streams.protocol.errors import InvalidRequest, StreamGone
from webapp.streams.protocol.forks import Lineage, Segment
from webapp.streams.protocol.offsets import START, Offset, Tail


@st.composite
def chains(draw: st.DrawFn) -> tuple[Lineage, int]:
    """A lineage some forks deep, and a tail of it."""
    lineage = Lineage(draw(st.integers(1, 9)))
    tail = draw(st.integers(0, 20))
    for step in range(draw(st.integers(0, 4))):
        lineage = lineage.branch(draw(st.integers(0, tail)), generation=10 + step)
        tail = lineage.start + draw(st.integers(0, 20))
    return lineage, tail


@given(chains())
def test_every_position_has_one_offset_that_leads_back(chain: tuple[Lineage, int]) -> None:
    lineage, tail = chain
    marks = [lineage.offset(position) for position in range(tail + 1)]
    assert sorted(set(marks)) == marks
    assert [lineage.position(mark, tail=tail) for mark in marks] == list(range(tail + 1))


@given(chains(), st.data())
def test_segments_cover_the_stretch_without_overlap(chain: tuple[Lineage, int], data: st.DataObject) -> None:
    lineage, tail = chain
    start = data.draw(st.integers(0, tail))
    covered = [
        (segment.generation, position)
        for segment in lineage.segments(start, tail)
        for position in range(segment.start + 1, segment.stop + 1)
    ]
    assert covered == [
        (lineage.offset(position).generation, position) for position in range(start + 1, tail + 1)
    ]


@given(chains(), st.data())
def test_a_fork_keeps_the_offsets_of_its_source(chain: tuple[Lineage, int], data: st.DataObject) -> None:
    lineage, tail = chain
    point = data.draw(st.integers(0, tail))
    fork = lineage.branch(point, generation=99)
    assert fork.start == point
    assert [fork.offset(p) for p in range(point + 1)] == [lineage.offset(p) for p in range(point + 1)]
    assert fork.offset(point + 1) == Offset(99, point + 1)


@given(chains())
def test_the_text_form_reads_back(chain: tuple[Lineage, int]) -> None:
    lineage, _ = chain
    loaded = forks.load(lineage.generation, forks.dump(lineage))
    assert loaded.start == lineage.start
    assert [loaded.offset(p) for p in range(50)] == [lineage.offset(p) for p in range(50)]


FORK = Lineage(7, (Segment(3, 0, 4),))


def test_the_beginning_and_now() -> None:
    assert FORK.position(START, tail=6) == 0
    assert FORK.position(Tail.NOW, tail=6) == 6


@pytest.mark.parametrize("offset", [Offset(3, 5), Offset(5, 2), Offset(7, 2)])
def test_offsets_of_other_streams_are_gone(offset: Offset) -> None:
    with pytest.raises(StreamGone):
        FORK.position(offset, tail=6)


def test_beyond_the_tail_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        FORK.position(Offset(7, 7), tail=6)

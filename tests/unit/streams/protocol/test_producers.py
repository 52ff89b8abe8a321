"""Idempotent producers: the table of protocol section 5.2.1, and the headers it comes in."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.streams.protocol import producers
from webapp.streams.protocol.errors import InvalidRequest, SequenceGap, StaleEpoch
from webapp.streams.protocol.producers import ProducerTuple


def tuple_of(epoch: int, seq: int) -> ProducerTuple:
    return ProducerTuple("p", epoch, seq)


@pytest.mark.parametrize(
    ("known", "incoming", "duplicate"),
    [
        (None, (0, 0), False),
        (None, (7, 0), False),
        ((1, 3), (1, 4), False),
        ((1, 3), (1, 3), True),
        ((1, 3), (1, 0), True),
        ((1, 3), (2, 0), False),
        ((1, 3), (9, 0), False),
    ],
)
def test_what_is_taken(known: tuple[int, int] | None, incoming: tuple[int, int], duplicate: bool) -> None:
    state = None if known is None else tuple_of(*known)
    assert producers.is_duplicate(state, tuple_of(*incoming)) is duplicate


def test_a_gap_names_both_numbers() -> None:
    with pytest.raises(SequenceGap) as gap:
        producers.is_duplicate(tuple_of(0, 3), tuple_of(0, 6))
    assert (gap.value.expected, gap.value.received) == (4, 6)
    with pytest.raises(SequenceGap) as gap:
        producers.is_duplicate(None, tuple_of(0, 2))
    assert (gap.value.expected, gap.value.received) == (0, 2)


def test_a_stale_epoch_names_the_current_one() -> None:
    with pytest.raises(StaleEpoch) as stale:
        producers.is_duplicate(tuple_of(5, 0), tuple_of(4, 9))
    assert stale.value.current_epoch == 5


def test_a_new_epoch_starts_at_zero() -> None:
    with pytest.raises(InvalidRequest):
        producers.is_duplicate(tuple_of(1, 3), tuple_of(2, 1))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4))))
def test_what_is_accepted_is_consecutive_within_each_epoch(arrivals: list[tuple[int, int]]) -> None:
    known: ProducerTuple | None = None
    accepted: list[tuple[int, int]] = []
    for epoch, seq in arrivals:
        with suppress(SequenceGap, StaleEpoch, InvalidRequest):
            if not producers.is_duplicate(known, tuple_of(epoch, seq)):
                known = tuple_of(epoch, seq)
                accepted.append((epoch, seq))
    epochs = [epoch for epoch, _ in accepted]
    assert epochs == sorted(epochs)
    for epoch in set(epochs):
        seqs = [seq for e, seq in accepted if e == epoch]
        assert seqs == list(range(len(seqs)))


def headers(producer_id: str | None, epoch: str | None, seq: str | None) -> dict[str, str]:
    values = {"producer-id": producer_id, "producer-epoch": epoch, "producer-seq": seq}
    return {name: value for name, value in values.items() if value is not None}


def test_headers_are_read() -> None:
    assert producers.from_headers({}) is None
    assert producers.from_headers(headers("p", "0", "007")) == ProducerTuple("p", 0, 7)
    assert producers.from_headers(headers("p", str(2**53 - 1), "0")) == ProducerTuple("p", 2**53 - 1, 0)


@pytest.mark.parametrize(
    "found",
    [
        headers("p", "0", None),
        headers("p", None, "0"),
        headers(None, "0", "0"),
        headers("", "0", "0"),
        *(
            headers("p", bad, "0")
            for bad in ("", "-1", "+1", "1_0", " 1", "1.0", "1e3", "\u0661", str(2**53))
        ),
        headers("p", "0", "9" * 5000),
    ],
)
def test_bad_headers_are_refused(found: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        producers.from_headers(found)

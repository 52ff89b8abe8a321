"""Cursors move with time and never back."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from webapp.streams.protocol import cursors

NOW = cursors.EPOCH + 20 * 1000.0


def test_it_counts_intervals_of_twenty_seconds() -> None:
    assert cursors.cursor(NOW, seen=None, rng=Random(0)) == "1000"
    assert cursors.cursor(NOW + 19.9, seen="999", rng=Random(0)) == "1000"
    assert cursors.cursor(NOW + 20, seen=None, rng=Random(0)) == "1001"
    assert cursors.cursor(0, seen=None, rng=Random(0)) == "0"


@given(st.integers(0, 10**12), st.floats(0, 10**10), st.randoms(use_true_random=False))
def test_it_is_always_ahead_of_the_reader(seen: int, now: float, rng: Random) -> None:
    found = int(cursors.cursor(now, seen=str(seen), rng=rng))
    assert found > seen
    assert found <= max(seen + 180, (now - cursors.EPOCH) // 20)


@given(st.text())
def test_nonsense_counts_as_absent(seen: str) -> None:
    assert int(cursors.cursor(NOW, seen=seen, rng=Random(0))) >= 1000


@given(st.lists(st.floats(0, 4 * 10**9), min_size=1))
def test_a_connection_never_goes_back_even_if_the_clock_does(times: list[float]) -> None:
    sent = [cursors.cursor(times[0], seen=None, rng=Random(0))]
    for now in times[1:]:
        sent.append(cursors.later(now, sent[-1]))
    assert list(map(int, sent)) == sorted(map(int, sent))

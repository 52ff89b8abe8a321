"""Which batch sets out when, and by which number."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.streams.clients.producer.limits import ProducerLimits
from webapp.streams.clients.producer.line import Batch, Line


def line_of(*messages: bytes, epoch: int = 0, **limits: Any) -> Line:
    line = Line(epoch, limits=ProducerLimits(**{"max_batch_messages": 1, **limits}))
    for message in messages:
        line.add([message])
    return line


def depart(line: Line) -> list[Batch]:
    return list(iter(line.depart, None))


def contents(batches: list[Batch]) -> list[list[bytes]]:
    return [batch.messages for batch in batches]


@pytest.mark.parametrize(
    ("limits", "full"),
    [
        ({"max_batch_messages": 2}, [[b"aa", b"bb"], [b"cc", b"dd"]]),
        ({"max_batch_messages": 9, "max_batch_bytes": 7}, [[b"aa", b"bb", b"cc"]]),
        ({"max_batch_messages": 9, "max_batch_bytes": 6}, [[b"aa", b"bb", b"cc"]]),
        ({"max_batch_messages": 9, "max_batch_bytes": 1}, [[b"aa"], [b"bb"], [b"cc"], [b"dd"], [b"ee"]]),
    ],
)
def test_a_full_batch_sets_out_and_one_with_room_waits(
    limits: dict[str, int], full: list[list[bytes]]
) -> None:
    line = line_of(b"aa", b"bb", b"cc", b"dd", b"ee", **limits)
    assert contents(depart(line)) == full
    rest = [b"aa", b"bb", b"cc", b"dd", b"ee"][sum(map(len, full)) :]
    assert line.unsent == 2 * len(rest)
    line.hurry()
    assert contents(depart(line)) == ([rest] if rest else [])
    assert line.unsent == 0


def test_what_is_added_in_one_piece_is_not_torn_apart() -> None:
    line = line_of(b"1", max_batch_messages=3)
    line.add([b"2", b"3", b"4"])
    line.add([b"5"] * 7)
    line.hurry()
    assert contents(depart(line)) == [[b"1"], [b"2", b"3", b"4"], [b"5"] * 7]


def test_nothing_joins_the_batch_that_closes_the_stream() -> None:
    line = line_of(b"1", max_batch_messages=9)
    line.add([b"2"], close=True)
    line.add([b"3"])
    line.hurry()
    departed = depart(line)
    assert contents(departed) == [[b"1", b"2"], [b"3"]]
    assert [batch.close for batch in departed] == [True, False]


def test_numbers_count_up() -> None:
    line = line_of(b"a", b"b", b"c")
    assert [batch.seq for batch in depart(line)] == [0, 1, 2]
    assert line.acknowledged == 0


def test_a_higher_epoch_begins_with_its_first_number_alone() -> None:
    line = line_of(b"a", b"b", b"c", epoch=1)
    first = depart(line)
    assert contents(first) == [[b"a"]]
    assert not line.open
    line.acknowledge(first[0])
    assert contents(depart(line)) == [[b"b"], [b"c"]]
    assert line.open


def test_one_acknowledgement_is_for_all_before_it() -> None:
    line = line_of(b"a", b"b", b"c")
    a, b, c = depart(line)
    assert line.acknowledge(b) == [a, b]
    assert (line.acknowledged, line.under_way) == (2, [c])
    assert (a.over, b.over, c.over) == (True, True, False)


def test_who_has_overtaken_others_is_sent_after_them() -> None:
    line = line_of(b"a", b"b", b"c", b"d")
    a, b, c, d = depart(line)
    for batch in (a, b, c, d):
        line.sends(batch)
    assert [line.may_repeat(batch) for batch in (b, c, d)] == [False, False, False]
    line.acknowledge(a)
    assert [line.may_repeat(batch) for batch in (b, c, d)] == [True, False, False]
    line.sends(b)
    assert not line.may_repeat(d)  # c is on its way, or has to come again
    assert line.may_repeat(c)
    line.sends(c)
    assert line.may_repeat(d)
    line.sends(d)
    assert not line.may_repeat(d)  # once for each time those before it are sent


def test_after_a_miss_nothing_new_sets_out_before_what_may_have_to_come_again() -> None:
    line = line_of(b"a", b"b", b"c")
    a, b, c = depart(line)
    for batch in (a, b, c):
        line.sends(batch)
    line.missed()
    line.add([b"d"])
    assert depart(line) == []
    line.acknowledge(a)
    line.sends(b)
    assert depart(line) == []
    assert not line.open
    line.sends(c)
    assert [batch.seq for batch in depart(line)] == [3]


def test_a_struck_batch_takes_all_behind_it_along_and_gives_back_their_numbers() -> None:
    line = line_of(b"a", b"b", b"c")
    a, b, c = depart(line)
    waiting = line.add([b"d"])
    assert line.strike(b) == [b, c, waiting]
    assert (line.under_way, line.unsent) == ([a], 0)
    assert [batch.over for batch in (a, b, c, waiting)] == [False, True, True, True]
    line.add([b"e"])
    assert [batch.seq for batch in depart(line)] == [1]


def test_a_cleared_line_is_empty() -> None:
    line = line_of(b"a", b"b")
    assert line.last is not None
    [under_way] = [line.depart()]
    assert len(line.clear()) == 2
    assert (line.last, line.under_way, line.unsent) == (None, [], 0)
    assert under_way is not None
    assert under_way.over

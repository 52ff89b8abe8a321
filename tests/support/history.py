"""What concurrent writers and readers of one stream were told, and whether one log explains all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf

_ASKED, _LEARNT = 0, 1


@dataclass(frozen=True, slots=True)
class Append:
    """``item`` was sent at ``began``, and acknowledged at ``ended`` as what lies before ``offset``.

    An append whose outcome nobody learnt has no end and no offset. Items are unique, one to an append.
    """

    item: int
    began: float
    ended: float = inf
    offset: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """``items`` lie between two offsets, as a reply to a request sent at ``began`` said at ``ended``."""

    start: str
    items: Sequence[int]
    next: str
    up_to_date: bool
    began: float
    ended: float


def check(log: Sequence[int], appends: Iterable[Append], reads: Iterable[Read]) -> None:
    """Assert that ``log`` explains every reply. ``reads`` of one reader come in its order."""
    place = {item: index for index, item in enumerate(log)}
    assert len(place) == len(log), "something is in the log twice"
    appends = list(appends)
    lost = [append.item for append in appends if append.offset and append.item not in place]
    assert not lost, f"acknowledged and lost: {lost}"
    stored = sorted((append for append in appends if append.item in place), key=lambda a: place[a.item])
    assert [append.item for append in stored] == list(log), "something is in the log that nobody sent"

    latest = -inf
    for append in stored:
        assert append.ended >= latest, f"{append.item} ended before something ahead of it in the log began"
        latest = max(latest, append.began)

    ends = {append.offset: place[append.item] + 1 for append in stored if append.offset}
    assert list(ends) == sorted(ends), "offsets do not grow with the log"
    assert len(ends) == sum(bool(append.offset) for append in stored), "two appends share an offset"
    ends["-1"] = 0
    points = [(append.ended, _LEARNT, ends[append.offset]) for append in stored if append.offset]
    for read in reads:
        at = ends[read.start]
        end = at + len(read.items)
        assert list(read.items) == list(log[at:end]), f"no contiguous run of the log after {read.start}"
        assert ends.setdefault(read.next, end) == end, f"{read.next} is not where the run ends"
        if read.up_to_date:
            points += [(read.began, _ASKED, end), (read.ended, _LEARNT, end)]

    tail = 0
    for time, what, end in sorted(points):
        if what == _LEARNT:
            tail = max(tail, end)
        assert end >= tail or what == _LEARNT, (
            f"asked at {time}, the tail was {end}, but {tail} had been seen"
        )

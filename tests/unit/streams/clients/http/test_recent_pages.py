"""What a reader finds who is at the end, behind, too far behind, or ahead."""

from __future__ import annotations

import pytest

from webapp.streams.clients.base import StreamNotFound
from webapp.streams.clients.http.recent_pages import RecentPages
from webapp.streams.clients.http.remote_page import RemotePage


def page(start: int, next: int, data: bytes = b"", *, closed: bool = False) -> RemotePage:
    return RemotePage(
        start=f"{start:04d}",
        next=f"{next:04d}",
        data=data or b"[%d]" % next,
        content_type="application/json",
        up_to_date=True,
        closed=closed,
    )


def pages_of(*pages: RemotePage, keep: int = 100) -> RecentPages:
    recent = RecentPages(pages[0].start, content_type="application/json", keep=keep)
    for each in pages:
        recent.push(each)
    return recent


def test_at_the_end_there_is_nothing_yet() -> None:
    recent = RecentPages("0004", content_type="application/json", keep=100)
    found = recent.after("0004")
    assert found is not None
    assert (found.empty, found.up_to_date, found.next, found.closed) == (True, True, "0004", False)


def test_who_is_behind_gets_all_that_came_as_one_page() -> None:
    recent = pages_of(page(0, 1), page(1, 3, b" [2 , 3]\n"), page(3, 4))
    assert recent.after("0003") == page(3, 4)
    found = recent.after("0000")
    assert found == page(0, 4, b"[1,2 , 3,4]")
    assert recent.after("0000") is found  # made once for all
    recent.push(page(4, 5))
    assert recent.after("0000") == page(0, 5, b"[1,2 , 3,4,5]")


def test_a_page_that_is_not_the_last_is_not_up_to_date() -> None:
    recent = pages_of(page(0, 1), page(1, 2))
    first = recent.at("0000")
    assert first is not None
    assert (first.next, first.up_to_date) == ("0001", False)


def test_places_that_are_not_known_here_are_the_servers_to_tell() -> None:
    recent = pages_of(page(0, 5), page(5, 9))
    assert recent.after("0003") is None
    assert recent.at("now") is None
    ahead = recent.after("0011")
    assert ahead is not None
    assert (ahead.empty, ahead.next) == (True, "0011")


def test_what_is_kept_is_bounded_but_for_the_last_page() -> None:
    recent = pages_of(page(0, 1, b'"%b"' % (b"x" * 60)), page(1, 2, b'"%b"' % (b"x" * 60)))
    assert recent.after("0000") is None
    assert recent.after("0001") is not None
    recent.push(page(2, 3, b"[%b1]" % (b" " * 500)))
    assert recent.after("0001") is None
    assert recent.after("0002") is not None


def test_every_change_is_one_wake_up() -> None:
    recent = pages_of(page(0, 1))
    ticket = recent.ticket()
    assert recent.ticket() is ticket
    assert not ticket.fired
    recent.push(page(1, 2, closed=True))
    assert ticket.fired
    assert not recent.ticket().fired
    end = recent.after("0002")
    assert end is not None
    assert end.closed
    recent.end(StreamNotFound())
    with pytest.raises(StreamNotFound):
        recent.after("0002")

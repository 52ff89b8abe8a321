"""Lifetimes: strict syntax, sliding and fixed deadlines."""

from __future__ import annotations

import pytest

from webapp.streams.protocol import lifetimes
from webapp.streams.protocol.errors import InvalidRequest
from webapp.streams.protocol.lifetimes import FOREVER, Lifetime


def test_a_ttl_slides_and_an_expiry_does_not() -> None:
    assert Lifetime(ttl=10).deadline(5.0) == 15.0
    fixed = Lifetime(expires_at="1970-01-01T00:01:00Z")
    assert fixed.deadline(5.0) == fixed.deadline(50.0) == 60.0
    assert FOREVER.deadline(5.0) is None


def test_the_same_instant_may_be_written_differently() -> None:
    one = Lifetime(expires_at="2030-01-01T00:00:00Z")
    assert one.same(Lifetime(expires_at="2030-01-01t02:00:00.000+02:00"))
    assert not one.same(Lifetime(expires_at="2030-01-01T00:00:01Z"))
    assert not one.same(FOREVER)


def test_headers_are_read() -> None:
    assert lifetimes.from_headers({}) == FOREVER
    assert lifetimes.from_headers({"stream-ttl": "0"}) == Lifetime(ttl=0)
    assert lifetimes.from_headers({"stream-ttl": "3600"}) == Lifetime(ttl=3600)


@pytest.mark.parametrize(
    "headers",
    [
        *({"stream-ttl": bad} for bad in ("", "-1", "+1", "01", "1.0", "1e3", " 1", "\u0661", "9" * 40)),
        *(
            {"stream-expires-at": bad}
            for bad in (
                "",
                "soon",
                "2030-01-01",
                "2030-01-01T00:00:00",
                "2030-13-01T00:00:00Z",
                "20300101T000000Z",
            )
        ),
        {"stream-ttl": "1", "stream-expires-at": "2030-01-01T00:00:00Z"},
    ],
)
def test_bad_headers_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        lifetimes.from_headers(headers)

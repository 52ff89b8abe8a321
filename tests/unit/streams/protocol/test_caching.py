"""Entity tags."""

from __future__ import annotations

import pytest

from webapp.streams.protocol import caching

TAG = caching.etag("a", "b", closed=False)


def test_closing_changes_the_tag() -> None:
    assert TAG == '"a:b"'
    assert caching.etag("a", "b", closed=True) == '"a:b:c"'


@pytest.mark.parametrize("header", [TAG, f"W/{TAG}", f'"x", {TAG}', "*"])
def test_what_matches(header: str) -> None:
    assert caching.matches(header, TAG)


@pytest.mark.parametrize("header", [None, "", "a:b", '"a:b:c"', '"x"'])
def test_what_does_not(header: str | None) -> None:
    assert not caching.matches(header, TAG)

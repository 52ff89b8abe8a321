"""Stream paths: what may name a stream and what may not."""

from __future__ import annotations

import pytest

from webapp.streams.protocol import paths
from webapp.streams.protocol.errors import InvalidRequest, StreamNotFound


@pytest.mark.parametrize("path", ["a", "chats/abc", "a%20b/c", "%C3%A9", "a..b", "x/__ds", "a" * 1024])
def test_good_paths_come_back_as_they_are(path: str) -> None:
    assert paths.check(path) == path


@pytest.mark.parametrize(
    "path", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/%2e%2E/b", "a%2F..", "a%00", "a\n", "a%0d",
    "a\\b", "a%5Cb", "a" * 1025],
)  # fmt: skip
def test_bad_paths_are_refused(path: str) -> None:
    with pytest.raises(InvalidRequest):
        paths.check(path)


@pytest.mark.parametrize("path", ["__ds", "__ds/x", "%5F%5Fds/x"])
def test_the_protocols_own_paths_name_no_stream(path: str) -> None:
    with pytest.raises(StreamNotFound):
        paths.check(path)


@pytest.mark.parametrize(
    ("base", "path", "below"),
    [
        ("/v1/stream", "/v1/stream/a/b", "a/b"),
        ("/v1/stream/", "/v1/stream/a", "a"),
        ("/v1/stream", "/v1/streams/a", None),
        ("/v1/stream", "/v1/stream", None),
        ("/", "/a", "a"),
    ],
)
def test_below_a_base(base: str, path: str, below: str | None) -> None:
    assert paths.below(base, path) == below


def test_base_addresses() -> None:
    assert paths.split_base("http://host:4437/v1/stream/") == ("http://host:4437", "/v1/stream")
    assert paths.split_base("https://[::1]") == ("https://[::1]", "")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/v1",
        "ftp://host",
        "http://",
        "http://u:secret@h",
        "http://h?q",
        "http://h#f",
        "http://h:x",
        "http://a b",
        "http://h/é",
        "http://h\n",
        "http://[h",
    ],
)
def test_what_is_no_base_address_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the text must not matter
        paths.split_base(url)
    assert "secret" not in str(refused.value)

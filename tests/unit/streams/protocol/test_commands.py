"""Requests as values: form is checked here, and only form."""

from __future__ import annotations

import pytest

from webapp.streams.protocol import commands
from webapp.streams.protocol.commands import BodyLimits, ForkPoint, Live
from webapp.streams.protocol.errors import InvalidRequest
from webapp.streams.protocol.offsets import START, Offset
from webapp.streams.wire import WireRequest

LIMITS = BodyLimits(max_messages=10, max_depth=8)


def request(method: str = "GET", *, body: bytes = b"", query: str = "", **headers: str) -> WireRequest:
    pairs = tuple((item.partition("=")[0], item.partition("=")[2]) for item in query.split("&") if item)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WireRequest(method=method, path="s", query=pairs, headers=named, body=body)


def test_a_plain_read_starts_at_the_beginning() -> None:
    read = commands.parse_read(request())
    assert (read.where, read.live, read.cursor, read.if_none_match) == (START, Live.NO, None, None)


def test_live_reads() -> None:
    assert commands.parse_read(request(query="offset=-1&live=sse")).live is Live.SSE
    assert commands.parse_read(request(query="live=long-poll&offset=now&cursor=9")).cursor == "9"
    assert commands.parse_read(request(query="live=telepathy&x=1&x=2")).live is Live.NO


@pytest.mark.parametrize(
    "query", ["offset=", "offset=-1&offset=-1", "live=sse", "live=long-poll", "offset=x y"]
)
def test_bad_reads_are_refused(query: str) -> None:
    with pytest.raises(InvalidRequest):
        commands.parse_read(request(query=query))


def test_an_append_in_json_mode() -> None:
    found = commands.parse_append(
        request("POST", body=b"[1,\n[2]]", content_type="application/json; charset=utf-8"), LIMITS
    )
    assert found.chunk == b"1\n[2]"
    assert found.defect is None


@pytest.mark.parametrize("body", [b"[]", b"{", b"[" * 20])
def test_a_bad_json_body_is_kept_as_a_defect(body: bytes) -> None:
    found = commands.parse_append(request("POST", body=body, content_type="application/json"), LIMITS)
    assert isinstance(found.defect, InvalidRequest)


def test_bytes_are_left_alone() -> None:
    found = commands.parse_append(request("POST", body=b"[1,\n[2]]", content_type="text/plain"), LIMITS)
    assert found.chunk == b"[1,\n[2]]"


@pytest.mark.parametrize(("value", "closed"), [("true", True), ("TRUE", True), ("1", False), ("", False)])
def test_the_closed_header_is_true_or_nothing(value: str, closed: bool) -> None:
    found = commands.parse_append(
        request("POST", body=b"x", content_type="text/plain", stream_closed=value), LIMITS
    )
    assert found.close is closed


def test_an_empty_append_must_close() -> None:
    assert commands.parse_append(request("POST", stream_closed="true", content_type="?"), LIMITS).close
    with pytest.raises(InvalidRequest):
        commands.parse_append(request("POST", content_type="text/plain"), LIMITS)


def test_a_malformed_content_type_is_refused() -> None:
    for bad in ("text", "a/b/c", "te xt/plain", "text/plain\x01"):
        with pytest.raises(InvalidRequest):
            commands.parse_create(request("PUT", content_type=bad), LIMITS)


def test_fork_headers() -> None:
    found = commands.parse_create(
        request(
            "PUT",
            stream_forked_from="a",
            stream_fork_offset="0000000000000002_0000000000000003",
            stream_fork_sub_offset="4",
        ),
        LIMITS,
    )
    assert found.fork == ForkPoint("a", Offset(2, 3), 4)
    assert commands.parse_create(request("PUT", stream_forked_from="a"), LIMITS).fork == ForkPoint("a")


@pytest.mark.parametrize(
    "headers",
    [
        {"stream_fork_offset": "-1"},
        {"stream_fork_sub_offset": "0"},
        {"stream_forked_from": "a", "stream_fork_sub_offset": "-1"},
        {"stream_forked_from": "a", "stream_fork_sub_offset": "01"},
        {"stream_forked_from": "a", "stream_fork_offset": "7"},
        {"stream_forked_from": "../a"},
    ],
)
def test_bad_fork_headers_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        commands.parse_create(request("PUT", **headers), LIMITS)

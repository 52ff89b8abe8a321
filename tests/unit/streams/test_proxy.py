"""What passes through the stream proxy is listed; everything else stays out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.streams.proxy import allowed_query, allowed_request_headers, allowed_response_headers

# fmt: off
HOSTILE = (
    "Set-Cookie", "Location", "Connection", "Transfer-Encoding", "Content-Encoding", "Content-Length",
    "Server", "X-Powered-By", "Via", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials",
    "Content-Security-Policy", "Refresh", "Link", "Cache-Control", "Clear-Site-Data", "X-Forwarded-For",
    "WWW-Authenticate", "Proxy-Authenticate", "Trailer", "Upgrade", "Alt-Svc", "Report-To",
    "NEL", "SourceMap", "X-Accel-Redirect", "X-Sendfile", "Content-Disposition", "Age", "Warning",
    "Pragma", "Expires", "X-Frame-Options", "Cross-Origin-Resource-Policy", "Timing-Allow-Origin",
    "Service-Worker-Allowed", "Authorization", "Cookie",
)
# fmt: on

KEPT = {
    "content-type",
    "etag",
    "retry-after",
    "stream-next-offset",
    "stream-up-to-date",
    "stream-cursor",
    "stream-closed",
    "stream-sse-data-encoding",
}


def test_a_hostile_upstream_gets_nothing_past_the_list() -> None:
    hostile = tuple((name, "evil") for name in HOSTILE)
    good = tuple((name.title(), "good") for name in sorted(KEPT))
    kept = allowed_response_headers(hostile + good, live=True)
    assert {value for _, value in kept} == {"good", "no-store", "no"}
    assert {name.lower() for name, _ in kept} == KEPT | {"cache-control", "x-accel-buffering"}


def test_live_replies_are_never_kept_and_others_are_revalidated() -> None:
    assert ("Cache-Control", "no-store") in allowed_response_headers((), live=True)
    assert ("Cache-Control", "private, no-cache") in allowed_response_headers((), live=False)


def test_only_three_parameters_and_one_header_go_up() -> None:
    query = [
        ("id", "abc"),
        ("offset", "1"),
        ("offset", "2"),
        ("live", "sse"),
        ("cursor", "9"),
        ("Offset", "3"),
    ]
    assert allowed_query(query) == (("offset", "1"), ("offset", "2"), ("live", "sse"), ("cursor", "9"))
    headers = {name.lower(): "x" for name in HOSTILE} | {"if-none-match": '"tag"', "host": "h"}
    assert allowed_request_headers(headers) == {"if-none-match": '"tag"'}


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=20))
def test_the_lists_hold_for_any_names(pairs: list[tuple[str, str]]) -> None:
    kept = allowed_response_headers(tuple(pairs), live=False)
    for name, _ in kept:
        low = name.lower()
        assert low in KEPT | {"cache-control", "x-accel-buffering"} or low.startswith("stream-")

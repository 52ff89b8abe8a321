"""The cross-site rule and the host rule, as truth tables."""

from __future__ import annotations

import pytest

from webapp.web.security import CONTENT_SECURITY_POLICY, allowed_host, host_name, is_cross_site, is_own_origin

HOST = {"host": "chat.example.org"}


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        # A browser that says where the request came from.
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": ""}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://chat.example.org"}, True),
        # Plain http on a local network: only Origin.
        ({"origin": "http://chat.example.org"}, False),
        ({"origin": "https://chat.example.org"}, False),
        ({"origin": "http://CHAT.example.org"}, False),
        ({"origin": "http://chat.example.org:8000"}, True),
        ({"origin": "http://chat.example.org.evil.example"}, True),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "http://evil.example/chat.example.org"}, True),
        ({"origin": "null"}, True),
        ({"origin": ""}, True),
        ({"origin": "chat.example.org"}, True),
        ({"origin": "http://chat.example.org/path"}, True),
        ({"origin": "http://ana@chat.example.org"}, True),
        ({"origin": "http://[::1"}, True),
        ({"origin": "http://[chat.example.org]"}, True),
        # No browser.
        ({}, False),
        ({"referer": "https://evil.example/"}, False),
    ],
)
def test_cross_site(headers: dict[str, str], refused: bool) -> None:
    assert is_cross_site(HOST | headers) is refused


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        ("https://chat.example.org", True),
        ("http://CHAT.example.org", True),
        (None, False),
        ("", False),
        ("null", False),
        ("chat.example.org", False),
        ("https://chat.example.org:8000", False),
        ("https://chat.example.org.evil.example", False),
        ("https://evil.example", False),
    ],
)
def test_an_origin_is_ours_only_if_it_is_there_and_says_so(origin: str | None, own: bool) -> None:
    assert is_own_origin(HOST | ({} if origin is None else {"origin": origin})) == own
    assert not is_own_origin({"origin": "null"})


def test_an_origin_without_any_host_is_cross_site() -> None:
    assert is_cross_site({"origin": "null", "host": ""})
    assert is_cross_site({"origin": "null"})


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8000", "localhost"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:8000", "[::1]"),
        ("[::1]", "[::1]"),
        ("::1", ""),
        ("localhost:", ""),
        ("localhost:x", ""),
        ("localhost:8000:9", ""),
        ("localhost\n", "localhost\n"),
        ("", ""),
    ],
)
def test_host_name(host: str, name: str) -> None:
    assert host_name(host) == name


def test_allowed_host() -> None:
    allowed = ("localhost", "chat.example.org", "*.lan.example")
    assert allowed_host("chat.example.org:443", allowed)
    assert allowed_host("a.lan.example", allowed)
    for host in ("evil.example", "lan.example", "xlan.example", "chat.example.org.evil", "localhost\n", ""):
        assert not allowed_host(host, allowed)


def test_the_policy_allows_no_inline_code_and_no_other_origin() -> None:
    directives = dict(part.split(" ", 1) for part in CONTENT_SECURITY_POLICY.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    sources = {source for value in directives.values() for source in value.split()}
    assert sources <= {"'none'", "'self'", "data:"}
    assert [name for name, value in directives.items() if "data:" in value] == ["img-src"]

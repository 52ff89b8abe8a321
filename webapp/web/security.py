"""What every response carries and which requests count as cross-site: pure functions over headers.

Owns the content security policy, the other security headers, the caching defaults, the cross-site rule and
the host rule. Knows nothing of chats or people; ``guards.py`` turns its answers into refusals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from litestar.types import Message, Scope

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
DEFAULT_CACHE_CONTROL = b"no-store"
STREAM_MOUNT = "/v1/stream"

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


async def add_security_headers(message: Message, scope: Scope) -> None:
    """Litestar ``before_send`` hook: complete the headers of every response, errors and 404s included.

    A header that is already there wins, which is how static files set their own caching. The protocol mount
    answers other origins on purpose and is left alone.
    """
    # Litestar rewrites scope["path"] below a mount; raw_path stays what the client sent.
    if message["type"] not in {"http.response.start", "websocket.http.response.start"} or scope[
        "raw_path"
    ].startswith(STREAM_MOUNT.encode()):
        return
    headers = list(message["headers"])
    present = {name.lower() for name, _ in headers}
    headers += [(name, value) for name, value in SECURITY_HEADERS if name not in present]
    if b"cache-control" not in present:
        headers.append((b"cache-control", DEFAULT_CACHE_CONTROL))
    if b"vary" not in present and not scope["path"].startswith("/static/"):
        headers.append((b"vary", b"Cookie"))
    message["headers"] = headers


def is_cross_site(headers: Mapping[str, str]) -> bool:
    """Whether a browser sent this request on behalf of another site. ``headers`` has lower-case names.

    ``Sec-Fetch-Site`` cannot be set by scripts and decides where it is sent. Browsers leave it out on plain
    http outside localhost; there ``Origin`` must name the host that was asked. A client that sends neither is
    no browser, so no one's cookies are ridden.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    return "origin" in headers and not is_own_origin(headers)


def is_own_origin(headers: Mapping[str, str]) -> bool:
    """Whether ``Origin`` is there and names the host that was asked."""
    # Nothing is left of "null", which is an origin that will not tell.
    asked_by = headers.get("origin", "").partition("://")[2].lower()
    return bool(asked_by) and asked_by == headers.get("host", "").lower()


def host_name(host: str) -> str:
    """The name in a Host header, lower case and without port: ``[::1]:8000`` gives ``[::1]``."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?", host)
    return match[1].lower() if match else ""


def allowed_host(host: str, allowed: Iterable[str]) -> bool:
    """Whether ``host`` (a Host header) names one of ``allowed``. ``*.example.org`` covers its subdomains."""
    name = host_name(host)
    return bool(name) and any(
        name == one or (one.startswith("*.") and name.endswith(one[1:])) for one in allowed
    )

"""Stream paths: what may name a stream.

A path is taken as it came, percent-encoded, and compared byte for byte. It may not climb (``..``), hide
(empty segments), carry control characters, or start with the name the protocol reserves for its own routes.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes, urlsplit

from webapp.streams.protocol import names
from webapp.streams.protocol.errors import InvalidRequest, StreamNotFound

MAX_LENGTH = 1024

_NOT_IN_BASE = re.compile(r"[^!-~]|[@?#]")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def check(path: str) -> str:
    """Return ``path`` if it may name a stream.

    Raises InvalidRequest, or StreamNotFound for the protocol's own routes, of which we serve none.
    """
    if not path or len(path) > MAX_LENGTH:
        raise InvalidRequest(f"A stream path has 1 to {MAX_LENGTH} characters.")
    decoded = unquote_to_bytes(path)
    if _CONTROL.search(decoded) or b"\\" in decoded:
        raise InvalidRequest("A stream path holds no control characters and no backslash.")
    segments = decoded.split(b"/")
    if any(segment in (b"", b".", b"..") for segment in segments):
        raise InvalidRequest("A stream path has no empty segment, no '.' and no '..'.")
    if segments[0] == names.RESERVED_PREFIX.encode():
        raise StreamNotFound(f"Paths below {names.RESERVED_PREFIX} are reserved.")
    return path


def split_base(url: str) -> tuple[str, str]:
    """The origin of a stream server and the path its streams lie below (no trailing slash).

    Raises ValueError, without the address: somebody may have put a password into it.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or _NOT_IN_BASE.search(url):
        raise ValueError("must be http://host:port/path or https://…, with no user, query or fragment")
    return f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")


def below(base: str, path: str) -> str | None:
    """The part of a URL path under ``base`` (no leading slash), or None if it is not under it."""
    prefix = base.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None

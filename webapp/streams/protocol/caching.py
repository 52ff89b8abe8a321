"""What caches may do with a reply: entity tags and ``Cache-Control``.

Streams are private by default: a catch-up page may be kept by its reader and must be revalidated; whatever
depends on the moment (the tail, live replies, metadata) is not stored at all.
"""

from __future__ import annotations

REVALIDATE = "private, no-cache"
NO_STORE = "no-store"
LIVE = "no-cache, no-store"


def etag(start: str, end: str, *, closed: bool) -> str:
    """The tag of a page. Offsets carry the generation, so a recreated stream never matches an old page.

    Closing a stream changes the tag, or a 304 would hide the end of the stream.
    """
    return f'"{start}:{end}{":c" if closed else ""}"'


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether the reader already holds the page tagged ``tag``."""
    if if_none_match is None:
        return False
    candidates = (item.strip().removeprefix("W/") for item in if_none_match.split(","))
    return any(candidate in ("*", tag) for candidate in candidates)

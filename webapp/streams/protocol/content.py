"""Content types: when two are the same, and what one unit of a stream is.

A JSON stream counts messages, every other stream counts bytes. Positions, fork sub-offsets and page limits
are all in that unit; a stored chunk is what one append brought.
"""

from __future__ import annotations

from collections.abc import Sequence

from webapp.streams.protocol import json_mode, names


def media_type(content_type: str) -> str:
    """The bare type in lower case: parameters do not make two content types differ."""
    return content_type.split(";", 1)[0].strip().lower()


def is_json(content_type: str) -> bool:
    return media_type(content_type) == names.JSON


def count(chunk: bytes, *, json: bool) -> int:
    """How many units a stored chunk holds."""
    return chunk.count(b"\n") + 1 if json else len(chunk)


def cut(chunk: bytes, low: int, high: int, *, json: bool) -> bytes:
    """The units of a chunk from ``low`` up to ``high``."""
    return b"\n".join(chunk.split(b"\n")[low:high]) if json else chunk[low:high]


def body(chunks: Sequence[bytes], *, json: bool) -> bytes:
    """What a read returns for these chunks."""
    return json_mode.array(chunks) if json else b"".join(chunks)

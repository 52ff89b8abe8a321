"""Offsets: where a reader stands in a stream.

An offset is ``<generation>_<position>``, both sixteen decimal digits, so that string order is stream order.
The *generation* numbers the incarnation of a stream that wrote the data and is never given out twice, so an
offset kept from before a delete can never be mistaken for one of the stream created afterwards. The
*position* counts messages (JSON streams) or bytes (all others) since the start. Fork offsets live in
``forks``.
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from webapp.streams.protocol import names
from webapp.streams.protocol.errors import InvalidRequest

# [0-9] and fullmatch: \d takes other scripts' digits, and $ would let a trailing newline through.
_OFFSET = re.compile(r"([0-9]{16})_([0-9]{16})")


class Offset(msgspec.Struct, frozen=True, order=True):
    """A place between two units of a stream; ``str()`` is its wire form."""

    generation: int
    position: int

    def __str__(self) -> str:
        return f"{self.generation:016d}_{self.position:016d}"


START = Offset(0, 0)
"""The beginning of every stream, whatever its generation."""


class Tail(Enum):
    """The sentinel ``now``: wherever the stream ends when it is read."""

    NOW = names.OFFSET_NOW


Where = Offset | Tail


def parse(text: str) -> Where:
    """Read a wire offset, ``-1`` or ``now``. Raises InvalidRequest for anything else."""
    if text == names.OFFSET_BEGINNING:
        return START
    if text == names.OFFSET_NOW:
        return Tail.NOW
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise InvalidRequest("The offset is not one that this server gave out.")
    return Offset(int(match[1]), int(match[2]))

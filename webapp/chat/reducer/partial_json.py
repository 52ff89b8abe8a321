"""Reads JSON that may still be on its way.

A total function: any text gives the value of its longest readable beginning, or MISSING. Strings, arrays
and objects that have not ended are taken as far as they go; half a literal, half an escape or half a key is
left out.
``static/js/partial-json.js`` reads the same. Pure; must not know what the JSON is for.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

MAX_DEPTH: Final = 64
"""Deeper values end where they get too deep, so that whatever was read can be written again."""


class Missing:
    """The type of MISSING, which says that there is no value (``null`` is one)."""

    __slots__ = ()


MISSING: Final = Missing()

_SPACE: Final = re.compile(r"[ \t\n\r]*")
# Surrogates count only in pairs: half of one is half an escape.
_STRING: Final = re.compile(
    r'"((?:[^"\\\x00-\x1f]+|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*)"
)
_SCALAR: Final = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def parse_partial(text: str) -> Any:
    """The value ``text`` begins to spell, or MISSING."""
    return _Reader(text).value(0)


def parse_whole(text: str) -> Any:
    """The value ``text`` spells completely, or MISSING."""
    reader = _Reader(text)
    value = reader.value(0)
    return value if reader.ended and not reader.next() else MISSING


class _Reader:
    """A position in a text. ``ended`` says whether the value read last had its end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.ended = False

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def next(self) -> str:
        """Move to the next significant character and return it; empty at the end."""
        self.match(_SPACE)
        return self.text[self.at : self.at + 1]

    def give(self, value: Any, *, ended: bool) -> Any:
        self.ended = ended
        return value

    def value(self, depth: int) -> Any:
        first = self.next()
        if first == '"':
            return self.string()
        if first in ("[", "{"):
            if depth == MAX_DEPTH:
                return self.give(MISSING, ended=False)
            self.at += 1
            return self.array(depth) if first == "[" else self.object(depth)
        match = self.match(_SCALAR)
        if match is None:
            return self.give(MISSING, ended=False)
        return self.give(json.loads(match.group()), ended=True)

    def string(self) -> Any:
        match = self.match(_STRING)
        if match is None:
            return self.give(MISSING, ended=False)
        ended = self.text.startswith('"', self.at)
        self.at += ended
        return self.give(json.loads(f'"{match[1]}"'), ended=ended)

    def array(self, depth: int) -> list[Any]:
        items: list[Any] = []
        more = not self.closes("]")
        while more:
            item = self.value(depth + 1)
            if item is not MISSING:
                items.append(item)
            more = self.ended and self.goes_on("]")
        return items

    def object(self, depth: int) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        more = not self.closes("}")
        while more:
            self.next()
            key = self.string()
            if not self.ended or self.next() != ":":
                self.ended = False
                break
            self.at += 1
            value = self.value(depth + 1)
            if value is not MISSING:
                fields[key] = value
            more = self.ended and self.goes_on("}")
        return fields

    def closes(self, end: str) -> bool:
        """Step over ``end`` if it comes next."""
        self.ended = self.next() == end
        self.at += self.ended
        return self.ended

    def goes_on(self, end: str) -> bool:
        """Step over a comma (True) or ``end`` (False)."""
        if self.closes(end) or self.next() != ",":
            return False
        self.at += 1
        return True

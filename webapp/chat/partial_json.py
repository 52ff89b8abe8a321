"""Reads JSON that may still be on its way.

A total function: any text gives the value of its longest readable beginning, or MISSING. Strings, arrays and
objects that have not ended are taken as far as they go; half a literal, half an escape or half a key is left out.
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
    return _Reader(text).value(0)[0]


def parse_whole(text: str) -> Any:
    """The value ``text`` spells completely, or MISSING."""
    reader = _Reader(text)
    value, complete = reader.value(0)
    reader.skip_space()
    return value if complete and reader.at == len(text) else MISSING


class _Reader:
    """A position in a text. Each method returns what it read and whether that had its end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip_space(self) -> str:
        """Move to the next significant character and return it; empty at the end."""
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> tuple[Any, bool]:
        first = self.skip_space()
        if first == '"':
            return self.string()
        if first in ("[", "{"):
            if depth == MAX_DEPTH:
                return MISSING, False
            self.at += 1
            return self.array(depth) if first == "[" else self.object(depth)
        match = _SCALAR.match(self.text, self.at)
        if match is None:
            return MISSING, False
        self.at = match.end()
        return json.loads(match.group()), True

    def string(self) -> tuple[Any, bool]:
        match = _STRING.match(self.text, self.at)
        if match is None:
            return MISSING, False
        complete = self.text[match.end() : match.end() + 1] == '"'
        self.at = match.end() + complete
        return json.loads(f'"{match[1]}"'), complete

    def array(self, depth: int) -> tuple[Any, bool]:
        items: list[Any] = []
        if self.skip_space() == "]":
            self.at += 1
            return items, True
        while True:
            item, complete = self.value(depth + 1)
            if item is not MISSING:
                items.append(item)
            if not complete or not self.separator("]"):
                return items, False
            if self.text[self.at - 1] == "]":
                return items, True

    def object(self, depth: int) -> tuple[Any, bool]:
        fields: dict[str, Any] = {}
        if self.skip_space() == "}":
            self.at += 1
            return fields, True
        while True:
            self.skip_space()
            key, complete = self.string()
            if not complete or self.skip_space() != ":":
                return fields, False
            self.at += 1
            value, complete = self.value(depth + 1)
            if value is not MISSING:
                fields[key] = value
            if not complete or not self.separator("}"):
                return fields, False
            if self.text[self.at - 1] == "}":
                return fields, True

    def separator(self, end: str) -> bool:
        """Step over a comma or ``end``; False if something else comes."""
        if self.skip_space() not in (",", end):
            return False
        self.at += 1
        return self.at <= len(self.text)

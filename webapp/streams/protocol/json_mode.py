"""JSON mode (protocol section 9.1): a body becomes messages, messages become one array again.

A message is kept as the slice of the body it came in: numbers, key order and spacing survive as they were
sent. Only line breaks go, which JSON allows between tokens and nowhere else; that frees the newline to
separate the messages of one append, so a stored chunk is those messages one per line, and giving them back
needs no parser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import NoReturn

from webapp.streams.protocol.errors import InvalidRequest, PayloadTooLarge

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|[\]}]', re.DOTALL)
_LINE_BREAKS = b"\r\n"


def split(body: bytes, *, max_messages: int, max_depth: int) -> list[bytes]:
    """The messages of a request body: the elements of an array (one level is flattened), or the one value.

    Raises InvalidRequest if the body is not strict JSON in UTF-8 or nests deeper than ``max_depth``, and
    PayloadTooLarge if it holds more than ``max_messages``.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not valid UTF-8.") from None
    if _depth(text, stop_at=max_depth) > max_depth:
        raise InvalidRequest(f"The body nests deeper than {max_depth} levels.")
    try:
        return _elements(text, max_messages)
    except ValueError:
        raise InvalidRequest("The body is not valid JSON.") from None


def pack(messages: Iterable[bytes]) -> bytes:
    """One stored chunk: the messages, one per line."""
    return b"\n".join(message.translate(None, _LINE_BREAKS) for message in messages)


def unpack(chunks: Iterable[bytes]) -> tuple[bytes, ...]:
    """The messages of stored chunks."""
    return tuple(message for chunk in chunks for message in chunk.split(b"\n"))


def array(chunks: Sequence[bytes]) -> bytes:
    """Stored chunks as one JSON array; no chunks give ``[]``."""
    return b"[%b]" % b"\n".join(chunks).replace(b"\n", b",")


def _elements(text: str, max_messages: int) -> list[bytes]:
    """The raw slices of a document's elements. Raises ValueError unless it is JSON."""
    start = _skip(text, 0)
    if text[start : start + 1] != "[":
        end = _value_end(text, start)
        if _skip(text, end) != len(text):
            raise ValueError("text after the value")
        return [text[start:end].encode()]
    elements: list[bytes] = []
    at = _skip(text, start + 1)
    if text[at : at + 1] == "]":
        at += 1
    else:
        at -= 1
        separator = ","
        while separator == ",":
            if len(elements) == max_messages:
                raise PayloadTooLarge(f"One append holds at most {max_messages} messages.")
            start = _skip(text, at + 1)
            end = _value_end(text, start)
            elements.append(text[start:end].encode())
            at = _skip(text, end)
            separator = text[at : at + 1]
        if separator != "]":
            raise ValueError("the array is not closed")
        at += 1
    if _skip(text, at) != len(text):
        raise ValueError("text after the array")
    return elements


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _ignore(_: str) -> None:
    return None


# Values are thrown away, so numbers need not be computed; Python's NaN and Infinity are no JSON.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_ignore, parse_int=_ignore)


def _value_end(text: str, start: int) -> int:
    end: int = _DECODER.raw_decode(text, start)[1]
    return end


def _depth(text: str, *, stop_at: int) -> int:
    """How deep ``text`` nests, or anything above ``stop_at`` once it is known to nest deeper."""
    if text.count("[") + text.count("{") <= stop_at:
        return 0
    depth = deepest = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        if match[1]:
            depth += 1
            deepest = max(deepest, depth)
            if deepest > stop_at:
                break
        elif match[0][0] != '"':
            depth -= 1
    return deepest
